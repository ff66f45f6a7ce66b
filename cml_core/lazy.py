"""Packages whose names are imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["names_of"]


def names_of(package: str, home: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package that gives the names of another module.

    Parameters
    ----------
    package : str
        The package.
    home : str
        The module whose `__all__` it gives.
    """

    def get(name: str) -> Any:
        if name == "__all__" or not name.startswith("__"):
            module = importlib.import_module(home)
            if name == "__all__" or name in module.__all__:
                return getattr(module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted(importlib.import_module(home).__all__)

    return get, names
