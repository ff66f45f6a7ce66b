"""Attributes that are 0 or 1."""

from __future__ import annotations

from cml_core.plugin_api import AttributeValueError

__all__ = ["flag"]


def flag(name: str, value: int) -> bool:
    """Return a flag.

    Raises
    ------
    AttributeValueError
        It is another number, which runtimes do not agree on.
    """
    if value not in (0, 1):
        raise AttributeValueError(name, value, "0 or 1")
    return bool(value)
