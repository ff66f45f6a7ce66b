"""The conformance kit: the checks that every operator plugin, builtin or not, must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_core.lazy import names_of

if TYPE_CHECKING:
    from cml_core.testing.conformance import *  # noqa: F403
else:
    __getattr__, __dir__ = names_of(__name__, "cml_core.testing.conformance")
