"""The errors that are this front end's own."""

from __future__ import annotations

import attrs

from cml_core.errors import CmlError

__all__ = ["NotQuantizedError"]


@attrs.define(eq=False, slots=False)
class NotQuantizedError(CmlError):
    """A fitted estimator is asked for integers, or for a circuit, that it does not have yet."""

    estimator: str
    wanted: str
    remedy: str

    def message(self) -> str:
        """Say what is missing and which call makes it."""
        return f"this {self.estimator} has no {self.wanted} yet. Call {self.remedy} first."
