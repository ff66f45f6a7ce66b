"""Axes and indices, which ONNX may count from the end, checked and counted from the front."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = [
    "element_places",
    "from_front",
    "integers",
    "one_axis",
    "one_integer",
    "several_axes",
    "tuple_places",
]


def integers(values) -> tuple[int, ...]:
    """Elements of a steering input (axes, shape, pads …) as Python integers."""
    return tuple(int(value) for value in np.asarray(values).reshape(-1).tolist())


def one_integer(name: str, value: np.ndarray, least: int | None = None) -> int:
    """Return the one integer that a steering input holds.

    Raises
    ------
    AttributeValueError
        It holds none or several, or one that is too small.
    """
    found = integers(value)
    if len(found) != 1 or (least is not None and found[0] < least):
        expected = "one integer" if least is None else f"one integer of at least {least}"
        raise AttributeValueError(name, found[0] if len(found) == 1 else found, expected)
    return found[0]


def one_axis(axis: int, rank: int, name: str = "axis") -> int:
    """Return an axis counted from the front.

    Raises
    ------
    AttributeValueError
        A tensor of that rank has no such axis.
    """
    if not -rank <= axis < rank:
        expected = f"an axis from {-rank} to {rank - 1}" if rank else "a tensor that has axes"
        raise AttributeValueError(name, axis, expected)
    return axis + rank if axis < 0 else axis


def several_axes(axes: Iterable[int], rank: int, name: str = "axes") -> tuple[int, ...]:
    """Return different axes counted from the front.

    Raises
    ------
    AttributeValueError
        There is no such axis, or one is named twice.
    """
    axes = tuple(axes)
    found = tuple(one_axis(axis, rank, name) for axis in axes)
    if len(set(found)) != len(found):
        raise AttributeValueError(name, axes, "each axis once")
    return found


def from_front(indices: np.ndarray, size: int, name: str = "indices") -> np.ndarray:
    """Return indices into an axis of `size` elements, counted from the front.

    Raises
    ------
    AttributeValueError
        Some index is out of bounds; the error names the first one.
    """
    outside = (indices < -size) | (indices >= size)
    if outside.any():
        first = int(indices[outside].flat[0])
        expected = f"indices from {-size} to {size - 1}" if size else "no index into an empty axis"
        raise AttributeValueError(name, first, expected)
    return np.where(indices < 0, indices + size, indices)


def element_places(
    indices: np.ndarray, shape: tuple[int, ...], axis: int
) -> tuple[np.ndarray, ...]:
    """Where GatherElements reads and ScatterElements writes: an index array for each axis.

    Along `axis` the indices say where; along the others an element stays at its own place.
    """
    axis = one_axis(axis, len(shape))
    fits = indices.ndim == len(shape) and all(
        size <= room
        for k, (size, room) in enumerate(zip(indices.shape, shape, strict=True))
        if k != axis
    )
    if not fits:
        expected = f"the rank of data, whose shape is {shape}, and no more along the other axes"
        raise AttributeValueError("shape of indices", indices.shape, expected)
    own = np.ix_(*(np.arange(size) for size in indices.shape))
    return (*own[:axis], from_front(indices, shape[axis]), *own[axis + 1 :])


def tuple_places(
    indices: np.ndarray, shape: tuple[int, ...], batch_dims: int = 0
) -> tuple[np.ndarray, ...]:
    """Where GatherND reads and ScatterND writes: an index array for each of the leading axes.

    The last axis of `indices` holds index tuples, which begin after the batch axes.
    """
    rank = len(shape)
    if not 0 <= batch_dims < min(rank, indices.ndim):
        expected = f"from 0 to {min(rank, indices.ndim) - 1}"
        raise AttributeValueError("batch_dims", batch_dims, expected)
    if indices.shape[:batch_dims] != shape[:batch_dims]:
        expected = f"batch axes {shape[:batch_dims]}, as in data"
        raise AttributeValueError("shape of indices", indices.shape, expected)
    count = indices.shape[-1]
    if not 1 <= count <= rank - batch_dims:
        expected = f"tuples of 1 to {rank - batch_dims} indices in the last axis"
        raise AttributeValueError("shape of indices", indices.shape, expected)
    outer = indices.shape[:-1]
    own = np.ix_(*(np.arange(size) for size in outer))[:batch_dims]
    chosen = (from_front(indices[..., k], shape[batch_dims + k]) for k in range(count))
    return (*own, *chosen)
