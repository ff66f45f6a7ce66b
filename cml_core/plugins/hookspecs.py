"""The hooks that a plugin may implement.

A hook implementation is a plain function in a module, marked with `hookimpl`. Each module is
registered on its own, under its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from cml_core.fhe.backend import FheBackend
    from cml_core.ops.plugin import OpPlugin
    from cml_core.plugins.importer import Importer

__all__ = ["PROJECT", "hookimpl", "hookspec"]

#: pluggy's project name; hook names are prefixed with it.
PROJECT = "cml"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def cml_op() -> OpPlugin:  # type: ignore[empty-body]
    """Return the operator that this module provides."""


@hookspec
def cml_fhe_backend() -> FheBackend:  # type: ignore[empty-body]
    """Return a compiler that turns an integer program into a circuit on encrypted integers."""


@hookspec
def cml_importer() -> Importer:  # type: ignore[empty-body]
    """Return a front end that turns some other library's model into an ONNX model."""
