"""What plugins do while they are loaded: what they print, what they use that is deprecated."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TextIO

from cml_core.plugins.deprecation import PluginApiDeprecationWarning
from cml_core.plugins.once import LOADING

__all__ = ["Watch", "watching"]

#: Characters of a plugin's output that its note quotes.
_LONG = 200


class Watch:
    """Gives notes of what happened since it was last asked."""

    def __init__(self, output: _Output, warned: list[warnings.WarningMessage]) -> None:
        self._output = output
        self._warned = warned

    def notes(self) -> tuple[str, ...]:
        """One note for what was printed, and one for each thing deprecated."""
        notes = []
        printed = " ".join(self._output.take().split())
        if printed:
            shown = printed if len(printed) <= _LONG else f"{printed[:_LONG]}…"
            notes.append(f"prints when imported: {shown}")
        ours = [w for w in self._warned if issubclass(w.category, PluginApiDeprecationWarning)]
        self._warned[:] = [w for w in self._warned if w not in ours]
        notes += dict.fromkeys(f"deprecated: {warned.message}" for warned in ours)
        return tuple(notes)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Keep what this thread prints off stdout, and take note of warnings meant for plugin authors.

    Other warnings are shown at the end, as they would have been.
    """
    with LOADING:
        yield from _watched()


def _watched() -> Iterator[Watch]:
    stdout = sys.stdout
    output = _Output(stdout)
    warned: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", PluginApiDeprecationWarning)
            sys.stdout = output
            yield Watch(output, warned)
    finally:
        sys.stdout = stdout
        output.release()
        for one in warned:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


class _Output(io.TextIOWrapper):
    """Stands in for stdout: keeps what one thread prints, passes on what the others do.

    Once released it passes on everything: a plugin may have kept it, as a handler of logging does.
    """

    def __init__(self, original: TextIO | None) -> None:
        self._kept = io.BytesIO()
        super().__init__(
            self._kept, encoding="utf-8", errors="backslashreplace", newline="", write_through=True
        )
        self._original = original
        self._thread: int | None = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return super().write(text)
        return len(text) if self._original is None else self._original.write(text)

    def flush(self) -> None:
        if self._original is not None and threading.get_ident() != self._thread:
            self._original.flush()

    def take(self) -> str:
        """What was printed since this was last asked."""
        text = self._kept.getvalue().decode("utf-8", "replace")
        self._kept.seek(0)
        self._kept.truncate()
        return text

    def release(self) -> None:
        """Keep nothing from now on."""
        self._thread = None
