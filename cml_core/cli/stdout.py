"""Stdout whoever reads it: closed, full, or with a reader that leaves early."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from cml_core.errors import OutputFileError

__all__ = ["open_streams"]


class _Stdout(io.TextIOWrapper):
    """Text that nobody need read to the end.

    What a reader who left would have read is dropped, so that a command ends as it would have. If
    it cannot be written for another reason, whoever writes is told, and nobody at the end.
    """

    def __init__(self, former: io.TextIOWrapper) -> None:
        super().__init__(
            former.buffer,
            encoding=former.encoding,
            errors="backslashreplace",
            line_buffering=former.line_buffering,
            write_through=former.write_through,
        )
        self._former = former  # It would close what is below both once it is gone.
        self._fault: OutputFileError | None = None

    def write(self, text: str, /) -> int:
        if self._fault is not None:
            raise self._fault
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let what is still to be written, by whomever, go nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            reason = f"cannot be written: {error.strerror or error}"
            self._fault = OutputFileError(Path("stdout"), reason)
            raise self._fault from error


def open_streams() -> None:
    """Let everything that prints use a guarded stdout, and give closed streams a place to go.

    What the encoding of stdout lacks is escaped, as Python does on stderr.
    """
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(_nowhere(2), encoding="utf-8", errors="backslashreplace")
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_nowhere(1), encoding="utf-8", errors="backslashreplace")
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout = _Stdout(sys.stdout)


def _nowhere(descriptor: int) -> io.BufferedWriter:
    """A stream to nowhere, under a descriptor that no file must get by chance."""
    opened = os.open(os.devnull, os.O_WRONLY)
    try:
        os.fstat(descriptor)
    except OSError:
        os.dup2(opened, descriptor)
    return io.BufferedWriter(io.FileIO(opened, "wb"))
