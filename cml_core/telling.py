"""Warnings that point at the line of a user's code that called this library."""

from __future__ import annotations

import sys
import warnings

__all__ = ["tell"]

_OURS = frozenset({"cml_core", "cml_frontends", "contextlib", "functools"})


def tell(text: str, category: type[Warning]) -> None:
    """Warn at the nearest caller outside this library, however deep this call is inside it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals.get("__name__")) in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


def _package(name: object) -> str:
    return str(name).partition(".")[0]
