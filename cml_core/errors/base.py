"""The base of all errors, and how their texts are put together."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CmlError", "bullets", "sentence"]


class CmlError(Exception):
    """Base of every error that cml raises on purpose."""

    def message(self) -> str:
        """One paragraph for a person: what was wrong, where, and what would work."""
        return type(self).__name__

    def __str__(self) -> str:
        return self.message()


def sentence(*parts: str) -> str:
    """Join what is not empty."""
    return " ".join(part for part in parts if part)


def bullets(items: Sequence[str]) -> str:
    """A line for each item."""
    return "".join(f"\n  - {item}" for item in items)
