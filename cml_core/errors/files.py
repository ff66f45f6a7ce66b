"""What is wrong with stored files."""

from __future__ import annotations

from pathlib import Path

import attrs

from cml_core.errors.base import CmlError, sentence

__all__ = [
    "DamagedFileError",
    "NewerFileError",
    "OutputFileError",
    "StoredFileError",
]


@attrs.define(eq=False, slots=False)
class StoredFileError(CmlError):
    """A file cannot be read or is not what it should be.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong with it.
    hint : str
        What would help; may be empty.
    """

    path: Path
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"{self.path}: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class DamagedFileError(StoredFileError):
    """A stored file is incomplete, altered, or of another kind."""


@attrs.define(eq=False, slots=False)
class NewerFileError(StoredFileError):
    """A stored file was written by a newer cml.

    Parameters
    ----------
    version : int
        The file's version of the format.
    supported : int
        The newest version that this cml reads.
    """

    version: int = 0
    supported: int = 0


@attrs.define(eq=False, slots=False)
class OutputFileError(StoredFileError):
    """A file cannot be written."""
