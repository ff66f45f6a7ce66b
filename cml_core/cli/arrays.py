"""Arrays in files: `.npz`, keyed by the names of a model's inputs and outputs.

The tensors of a sequence are there one by one, as `name/0`, `name/1` and so on; an optional that is
empty, and a sequence without tensors, is not there at all.
"""

from __future__ import annotations

import io
import itertools
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cml_core.errors import DamagedFileError, OutputFileError, StoredFileError
from cml_core.graph.model import TensorSpec
from cml_core.storage import array_bytes, destination, write_file

__all__ = ["check_output", "describe_arrays", "read_arrays", "write_arrays"]

_ZIP, _NPY, _PICKLE = b"PK", b"\x93NUMPY", b"\x80"
_AGAIN = "Write it again with np.savez(file, name=array)."


def read_arrays(path: Path, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """Read the arrays for a model's inputs; a lone array for a lone input may have any name.

    A `.npy` file serves a lone input too. Names, shapes and dtypes are left to the model to check.

    Raises
    ------
    StoredFileError
        The file is missing, damaged, of another kind, or holds pickled objects.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoredFileError(path, f"cannot be read: {error.strerror or error}") from error
    try:
        found = _parse(path, content)
    except StoredFileError:
        raise
    except Exception as error:  # zlib.error has no common base with the others
        if "allow_pickle" in str(error):
            raise _pickled(path) from error
        raise DamagedFileError(path, "is damaged or cut short", _AGAIN) from error
    found = {**found, **_wrapped(found, specs)}
    for spec in specs:
        if "sequence" in spec.wraps:
            found = {k: v for k, v in found.items() if not k.startswith(f"{spec.name}/")}
    if len(specs) == 1 and len(found) == 1 and not specs[0].wraps:
        return {specs[0].name: next(iter(found.values()))}
    if "" in found:
        names = ", ".join(spec.name for spec in specs) or "none"
        raise StoredFileError(
            path,
            f"holds one array without a name, and the model's inputs are: {names}",
            "Give an .npz file with one array for each.",
        )
    return found


def _wrapped(found: Mapping[str, np.ndarray], specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """The inputs that are sequences or optionals."""
    values: dict[str, Any] = {}
    for spec in specs:
        if "sequence" in spec.wraps:
            names = (f"{spec.name}/{k}" for k in itertools.count())
            tensors = tuple(found[name] for name in itertools.takewhile(found.__contains__, names))
            empty = not tensors and "optional" in spec.wraps
            values[spec.name] = None if empty else tensors
        elif "optional" in spec.wraps:
            values[spec.name] = found.get(spec.name)
    return values


def _parse(path: Path, content: bytes) -> dict[str, np.ndarray]:
    if content.startswith(_PICKLE):
        raise _pickled(path)
    if not content.startswith((_ZIP, _NPY)):
        what = "is neither an .npz nor an .npy file" if content else "is empty"
        raise DamagedFileError(path, what, _AGAIN)
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    arrays = {name: loaded[name] for name in loaded.files}
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise DamagedFileError(path, f"holds {name!r}, which is not an array", _AGAIN)
    return arrays


def _pickled(path: Path) -> StoredFileError:
    return StoredFileError(
        path,
        "holds pickled Python objects, which are never loaded",
        "Save plain arrays of numbers or text.",
    )


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse a path where no file can be written, before any work is done for it.

    Parameters
    ----------
    path : Path
        Where a command writes.
    inputs : Path
        What else it reads or writes, which would be lost.

    Raises
    ------
    OutputFileError
        Its folder does not exist, it is a folder itself, or it is one of the others.
    """
    try:
        place = destination(path)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise OutputFileError(path, f"cannot be written: {what}") from error
    if (place or path).is_dir():
        raise OutputFileError(path, "cannot be written: it is a folder")
    if place is None:
        return
    if not place.parent.is_dir():
        folder = place.parent if path.is_symlink() else path.parent
        raise OutputFileError(
            path, f"cannot be written: there is no folder {folder}", "Create it first."
        )
    for source in inputs:
        same = place == Path(os.path.realpath(source))
        if same or (place.exists() and source.exists() and place.samefile(source)):
            also = "" if source == path else f" ({source})"
            what = "what is read" if source.exists() else "what else is written"
            raise OutputFileError(
                path, f"cannot be written: it is {what}{also}", "Name another file."
            )


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as an `.npz` file, whole or not at all.

    Raises
    ------
    OutputFileError
        The file cannot be written, or one of the outputs is no tensor.
    """
    buffer = io.BytesIO()
    # As np.savez does, which takes no array of the name "file".
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in _flat(arrays):
            archive.writestr(f"{name}.npy", array_bytes(_storable(path, name, array)))
    write_file(path, buffer.getvalue())


def _flat(arrays: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in arrays.items():
        if isinstance(value, tuple):
            yield from _flat({f"{name}/{k}": tensor for k, tensor in enumerate(value)})
        elif value is not None:
            yield name, value


def _storable(path: Path, name: str, value: Any) -> np.ndarray:
    """The array in a dtype that `.npy` files know: text of fixed width, bfloat16 as float32."""
    if not isinstance(value, (np.ndarray, np.generic)):
        raise OutputFileError(path, f"cannot hold output {name!r}, which is not a tensor")
    array = np.asarray(value)
    if array.dtype == object:
        return array.astype(str)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def describe_arrays(arrays: Mapping[str, Any]) -> str:
    """Names, dtypes and shapes in one line."""
    return ", ".join(f"{name} {_described(value)}".rstrip() for name, value in arrays.items())


def _described(value: Any) -> str:
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple):
        return f"(a sequence of {len(value)})"
    return "(empty)" if value is None else ""
