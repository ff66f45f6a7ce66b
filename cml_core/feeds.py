"""Arrays on their way into a model: matched by name and position, checked, given their dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cml_core.errors import InputDtypeError, InputNameError, InputShapeError
from cml_core.graph.model import TensorSpec

__all__ = ["Intake", "as_feeds", "bind_arguments", "check_shapes", "convert", "unpack"]


class Intake:
    """What checks the arrays that a model is given; see `as_feeds`.

    Arrays of the names, shapes and dtypes that it was told to remember are not checked again,
    which takes as long as a small model.
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = tuple(specs)
        self._known: list[tuple[Any, ...]] = []

    def __call__(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the model's inputs are: `inputs` itself if arrays like it are remembered.

        Raises
        ------
        InputNameError, InputShapeError, InputDtypeError
            What is wrong, and what the model expects.
        """
        if type(inputs) is dict and self._known and _forms(inputs) == self._known:
            return inputs
        return as_feeds(self._specs, inputs)

    def remember(self, inputs: Mapping[str, Any], feeds: Mapping[str, Any]) -> None:
        """Take arrays like these as they are from now on, if nothing had to be done to them."""
        # Of objects, such as strings, each is looked at.
        plain = (type(a) is np.ndarray and a.dtype != object for a in inputs.values())
        if all(plain) and all(value is feeds[name] for name, value in inputs.items()):
            self._known = _forms(inputs)


def _forms(inputs: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (name, type(value), getattr(value, "shape", None), getattr(value, "dtype", None))
        for name, value in inputs.items()
    ]


def bind_arguments(specs: Sequence[TensorSpec], arrays: Sequence[Any]) -> dict[str, Any]:
    """Give positional arrays the names of the model's inputs.

    Raises
    ------
    InputNameError
        There are fewer or more arrays than inputs.
    """
    names = tuple(spec.name for spec in specs)
    if len(arrays) != len(names):
        extra = tuple(f"positional argument {i + 1}" for i in range(len(names), len(arrays)))
        raise InputNameError(names[len(arrays) :], extra, names)
    return dict(zip(names, arrays, strict=True))


def as_feeds(specs: Sequence[TensorSpec], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Check arrays against a model's inputs and bring each to the input's dtype.

    Integers become floats where the model wants floats, and floats change their precision; any
    other conversion is refused. A sequence is given as a list or tuple, an optional that is empty
    as None.

    Raises
    ------
    InputNameError, InputShapeError, InputDtypeError
        What is wrong, and what the model expects.
    """
    feeds = convert(specs, inputs)
    plain = [spec for spec in specs if not spec.wraps]
    check_shapes(plain, {spec.name: feeds[spec.name].shape for spec in plain})
    return feeds


def convert(specs: Sequence[TensorSpec], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Check names and dtypes alone, and bring each array to its input's dtype."""
    names = tuple([spec.name for spec in specs])
    if not isinstance(inputs, Mapping):
        raise InputNameError(names, (f"a {type(inputs).__name__} without names",), names)
    if inputs.keys() != set(names):
        missing = tuple(name for name in names if name not in inputs)
        unknown = tuple(str(name) for name in inputs if name not in names)
        raise InputNameError(missing, unknown, names)
    return {spec.name: _as_value(spec, inputs[spec.name], spec.wraps) for spec in specs}


def check_shapes(specs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check ranks and sizes; a symbolic size must be the same wherever it appears."""
    sizes: dict[str, tuple[int, str]] = {}
    for spec in specs:
        _check_shape(spec, shapes[spec.name], sizes)


def unpack(results: Mapping[str, np.ndarray]) -> Any:
    """Return one array, or a tuple when there are several outputs."""
    values = tuple(results.values())
    return values[0] if len(values) == 1 else values


def _as_value(spec: TensorSpec, value: Any, wraps: tuple[str, ...]) -> Any:
    """Convert a tensor, or the tensors within a sequence or an optional."""
    if not wraps:
        return _as_dtype(spec, value)
    outer, *inner = wraps
    if outer == "optional":
        return None if value is None else _as_value(spec, value, tuple(inner))
    if outer == "sequence" and isinstance(value, (list, tuple)):
        return tuple(_as_value(spec, element, tuple(inner)) for element in value)
    raise InputDtypeError(spec.name, type(value).__name__, spec.kind)


def _as_dtype(spec: TensorSpec, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputShapeError(
            spec.name, (), f"{spec.describe()}, not rows of unequal length"
        ) from None
    except Exception:
        # Whatever another library's tensor raises when it cannot become an array.
        raise InputDtypeError(spec.name, type(value).__name__, str(spec.dtype)) from None
    if array.dtype == spec.dtype == object:
        return _as_text(spec, array)
    if spec.dtype is None or array.dtype == spec.dtype:
        return array
    if array.dtype == object and spec.dtype != object:
        raise InputDtypeError(spec.name, "object", str(spec.dtype))
    is_number = array.dtype.kind in "iufb"
    fits = (
        (spec.dtype.kind == "f" and is_number)
        or (spec.dtype.kind == "V" and is_number)
        or (spec.dtype.kind in "iu" and array.dtype.kind in "iu" and _in_range(array, spec.dtype))
        or (spec.dtype.kind == "O" and array.dtype.kind in "US")
        or array.size == 0
    )
    if not fits:
        raise InputDtypeError(spec.name, str(array.dtype), str(spec.dtype))
    if spec.dtype == object:
        return _as_text(spec, array.astype(object))
    with np.errstate(all="ignore"):  # beyond a float's range lies infinity
        return array.astype(spec.dtype)


def _as_text(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """Strings as Python's own, bytes decoded; anything else but maps is refused."""
    kinds = set(map(type, array.flat))
    if kinds <= {str} or kinds <= {dict}:
        return array
    others = sorted(kind.__name__ for kind in kinds if not issubclass(kind, (str, bytes)))
    if others:
        raise InputDtypeError(spec.name, f"object, with elements of type {others[0]}", "strings")
    try:
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in array.flat]
    except UnicodeDecodeError:
        raise InputDtypeError(spec.name, "bytes that are not UTF-8", "strings") from None
    result = np.empty(array.shape, dtype=object)
    result.reshape(-1)[:] = texts
    return result


def _in_range(array: np.ndarray, dtype: np.dtype[Any]) -> bool:
    info = np.iinfo(dtype)
    return array.size == 0 or (int(array.min()) >= info.min and int(array.max()) <= info.max)


def _check_shape(
    spec: TensorSpec, shape: tuple[int, ...], sizes: dict[str, tuple[int, str]]
) -> None:
    if spec.shape is None:
        return
    if len(shape) != len(spec.shape):
        raise InputShapeError(spec.name, shape, f"{len(spec.shape)} dimensions, {spec.describe()}")
    for size, declared in zip(shape, spec.shape, strict=True):
        if isinstance(declared, int) and size != declared:
            raise InputShapeError(spec.name, shape, spec.describe())
        if isinstance(declared, str):
            known, other = sizes.setdefault(declared, (size, spec.name))
            if known != size:
                raise InputShapeError(
                    spec.name,
                    shape,
                    f"{spec.describe()} with {declared} = {known}, as in input {other!r}",
                )
