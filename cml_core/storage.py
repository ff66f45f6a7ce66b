"""The `.cml` container: a zip of data with a checksum for each part, written whole or not at all.

It holds JSON, NumPy arrays (`.npy`, never pickled) and, for a model's tail, an ONNX model.
Nothing in it is ever evaluated.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cml_core.errors import DamagedFileError, NewerFileError, OutputFileError, StoredFileError

__all__ = [
    "FORMAT_VERSION",
    "archive_bytes",
    "array_bytes",
    "destination",
    "parts_of",
    "read_archive",
    "read_array",
    "read_content",
    "write_archive",
    "write_file",
]

#: Version of the container and of what it holds; raised when older readers would misread it.
FORMAT_VERSION = 2
_MAGIC = "cml"
_MANIFEST = "manifest.json"
_MODEL = "a model"
_AGAIN = ("Make it again", "Compile the model again")
#: How many times larger what a file holds may be than the file: tables of zeros, at most.
_INFLATED, _SMALL = 200, 1 << 24
#: As many links as Linux follows from one path.
_MOST_LINKS = 40


def array_bytes(array: np.ndarray) -> bytes:
    """An array in NumPy's `.npy` format."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return buffer.getvalue()


def read_array(content: bytes) -> np.ndarray:
    """The array in an `.npy` file; never unpickles."""
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def destination(path: str | os.PathLike[str]) -> Path | None:
    """The regular file, there or not, that writing to a path replaces; links are followed.

    None where something else is there, such as a device, a pipe or an open descriptor
    (`/dev/fd/N`): it is written to as it is.

    Raises
    ------
    OSError, ValueError
        There can be no file at the path.
    """
    try:
        kind = Path(path).stat().st_mode
    except FileNotFoundError:
        if _descriptor(path) is not None:
            raise
        return Path(os.path.realpath(path))
    if not stat.S_ISREG(kind) or _descriptor(path) is not None:
        return None
    return Path(os.path.realpath(path))


def write_file(path: str | os.PathLike[str], content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all: beside its place, then renamed.

    A file that is there keeps its permissions, unless it is `private`: then its owner alone may
    read it. A link is followed, and what is no regular file is written to; see `destination`.

    Raises
    ------
    OutputFileError
        The file cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        place = destination(path)
        if place is None:
            _write_to(path, content)
            return
        mode = 0o600 if private else _mode(place)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".cml.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(place)
    except (OSError, ValueError) as error:
        raise OutputFileError(path, f"cannot be written: {_reason(error)}") from error
    finally:
        # Gone already where all went well.
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _mode(place: Path) -> int:
    """Permissions of the file that is there, or those of a new one."""
    try:
        return place.stat().st_mode & 0o777
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _write_to(path: Path, content: bytes) -> None:
    """Write to what is there, and create nothing."""
    descriptor = _descriptor(path)
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
    with os.fdopen(opened, "wb") as file:
        file.write(content)


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The descriptor of this process that a path such as `/dev/stdout` or `/dev/fd/3` names.

    To open such a path would begin anew in a file that others have written to.
    """
    step, own = Path(path), re.compile(rf"/proc/{os.getpid()}(/task/\d+)?/fd|/dev/fd")
    for _ in range(_MOST_LINKS):
        if step.name.isdecimal() and own.fullmatch(os.path.realpath(step.parent)):
            return int(step.name)
        if not step.is_symlink():
            return None
        step = step.parent / step.readlink()
    return None


def archive_bytes(parts: Mapping[str, bytes], *, kind: str = _MODEL, packed: bool = True) -> bytes:
    """The content of a `.cml` file of some kind.

    What is as good as random, such as ciphertexts, is not worth being packed.
    """
    manifest = {
        "format": _MAGIC,
        "version": FORMAT_VERSION,
        "holds": kind,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()},
    }
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in {_MANIFEST: json.dumps(manifest, indent=1).encode(), **parts}.items():
            # A fixed date makes equal content give equal files.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, method)
    return buffer.getvalue()


def write_archive(path: str | os.PathLike[str], parts: Mapping[str, bytes]) -> None:
    """Write a `.cml` file.

    Raises
    ------
    OutputFileError
        The file cannot be written.
    """
    write_file(path, archive_bytes(parts))


def read_content(path: str | os.PathLike[str]) -> bytes:
    """Read a whole file.

    Raises
    ------
    StoredFileError
        There is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise StoredFileError(Path(path), f"cannot be read: {_reason(error)}") from error


def read_archive(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Read a `.cml` file and verify every part of it.

    Raises
    ------
    StoredFileError
        There is no such file.
    DamagedFileError
        It is cut short, altered, or not a `.cml` file.
    NewerFileError
        It was written by a newer cml.
    """
    return parts_of(read_content(path), path)


def parts_of(
    content: bytes, source: str | os.PathLike[str], *, kind: str = _MODEL
) -> dict[str, bytes]:
    """The parts of a `.cml` file's content, if it is of that kind.

    Errors are those of `read_archive`; they name the source.
    """
    path, again = Path(source), f"{_AGAIN[kind == _MODEL]}, or fetch the file again."
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > _INFLATED * len(content) + _SMALL:
                raise DamagedFileError(
                    path, f"holds {size} bytes in {len(content)}, which no cml writes", again
                )
            parts = {name: archive.read(name) for name in archive.namelist()}
        manifest: Any = json.loads(parts.pop(_MANIFEST))
        magic, version, sums = manifest["format"], manifest["version"], manifest["sha256"]
    except DamagedFileError:
        raise
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
        OSError,
        NotImplementedError,
    ) as error:
        raise DamagedFileError(path, "is damaged or not a .cml file", again) from error
    except Exception as error:  # zlib.error has no common base with the others
        raise DamagedFileError(path, "is damaged", again) from error
    if magic != _MAGIC or not isinstance(version, int) or version < 1:
        raise DamagedFileError(path, "is not a .cml file", again)
    if version > FORMAT_VERSION:
        raise NewerFileError(
            path,
            f"was written in format {version}, this cml reads up to {FORMAT_VERSION}",
            "Upgrade cml.",
            version,
            FORMAT_VERSION,
        )
    # Files of before there were other kinds hold a model.
    held = manifest.get("holds", _MODEL)
    if held != kind:
        raise DamagedFileError(path, f"holds {held}, not {kind}")
    if not isinstance(sums, dict) or set(sums) != set(parts):
        raise DamagedFileError(path, "is damaged: parts are missing or were added", again)
    for name, part in parts.items():
        if hashlib.sha256(part).hexdigest() != sums[name]:
            raise DamagedFileError(
                path, f"is damaged: the checksum of {name} does not match", again
            )
    return parts


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
