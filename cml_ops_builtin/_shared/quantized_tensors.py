"""Tensors that a model quantized itself: scales, zero points and the integers they ask for.

Such integers are taken as they are: they are never put on a coarser grid, whatever bit width the
user chose for the rest of the model.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    Grid,
    LoweringContext,
    lookup,
    requantize,
)
from cml_ops_builtin._shared.cast import cast

__all__ = [
    "clear_parameters",
    "grid_of",
    "integer_range",
    "kept_integers",
    "on_integers",
    "propose_integers",
    "requantized",
    "round_to",
    "seen_integers",
    "spread",
    "to_integers",
    "to_steps",
]

#: Ranges of the integer types that NumPy does not know.
_NARROW = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
#: Integers up to which sums of two of them, and more, are exact in float32.
_EXACT = 2**16
#: Most integers of one channel, and most numbers at once, at which a decode is examined.
_POINTS = 2**16
_SIZE = 2**22


def integer_range(dtype):
    """Lowest and highest integer of a type; None for float types."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    return _NARROW.get(dtype.name)


def to_integers(x):
    """Return integers of any type as int64; numbers of other types in float32."""
    return x.astype(np.int64 if integer_range(x.dtype) else np.float32)


def to_steps(x):
    """Return integers of up to 16 bits, whose differences float32 holds exactly, as float32.

    Other integers are int64, numbers of other types float32; none of them is the array given.
    """
    limits = integer_range(x.dtype)
    narrow = limits is None or -_EXACT <= limits[0] < limits[1] < _EXACT
    return x.astype(np.float32 if narrow else np.int64)


def spread(parameter, shape, axis, block_size=0):
    """Bring a scale or zero point to where it broadcasts with a tensor.

    Parameters
    ----------
    parameter : array
        One number for the tensor, one for each place along `axis`, or one for each block of
        `block_size` places along it.
    shape : tuple of int
        The tensor's.

    Raises
    ------
    AttributeValueError
        The parameter's shape, the axis or the block size does not fit the tensor.
    """
    if parameter.size == 1 and not block_size:
        return parameter.reshape(())
    rank = len(shape)
    axis = 0 if rank == 1 else axis
    if not -rank <= axis < rank:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {rank}")
    axis %= rank
    if not block_size:
        if parameter.shape != (shape[axis],):
            expected = f"one number, or {shape[axis]} as along axis {axis}"
            raise AttributeValueError("scale and zero point", parameter.shape, expected)
        return parameter.reshape([-1 if k == axis else 1 for k in range(rank)])
    wanted = list(shape)
    wanted[axis] = -(-shape[axis] // max(block_size, 1))
    if block_size < 0 or list(parameter.shape) != wanted:
        expected = f"the size of blocks that {parameter.shape} numbers divide {tuple(shape)} into"
        raise AttributeValueError("block_size", block_size, expected)
    places = np.arange(shape[axis]) // block_size
    return np.take(parameter, places, axis=axis)


def round_to(value, zero_point, dtype, *, saturate=1):
    """Round a tensor in steps of its scale to a type: ties to even, then the zero point, then clip.

    Parameters
    ----------
    value : float array
        The tensor divided by its scale.
    zero_point : array or None
        In the type's own integers.
    dtype : dtype
        An integer or a small float type.
    """
    limits = integer_range(dtype)
    if (
        limits is not None
        and value.dtype == np.float32
        and -_EXACT <= limits[0] < limits[1] < _EXACT
    ):
        return _round_narrow(value, zero_point, dtype, limits)
    shift = 0 if zero_point is None else to_integers(zero_point)
    value = value.astype(np.float64)
    if limits is None:
        return cast(value + shift, dtype, saturate=saturate, round_mode="nearest")
    return np.clip(np.rint(np.nan_to_num(value, nan=0.0)) + shift, *limits).astype(dtype)


def _round_narrow(value, zero_point, dtype, limits):
    """Round float32 to a type of up to 16 bits; a sum that float32 rounds is beyond its limits."""
    # Of 0-d arrays, NumPy gives scalars.
    number = np.asarray(np.rint(value))
    if np.isnan(number.min(initial=0)):
        number = np.nan_to_num(number, nan=0.0)
    if zero_point is not None:
        np.add(number, zero_point.astype(np.float32), number)
    np.maximum(number, np.float32(limits[0]), out=number)
    np.minimum(number, np.float32(limits[1]), out=number)
    return number.astype(dtype)


def requantized(product, scale, zero_point, dtype):
    """Round integers, each of which stands for `scale` steps of a type, to that type."""
    value = product.astype(np.float32) * scale
    return np.asarray(round_to(value, zero_point, dtype))


def grid_of(low, high, limits):
    """First integer and number of integers that hold `low` to `high`.

    They go on both sides as far as their width lasts: what costs nothing need not be left out.
    """
    count = min(2 ** max(1, int(high - low).bit_length()), limits[1] - limits[0] + 1)
    middle = int(low) - (count - int(high - low + 1)) // 2
    return min(max(middle, limits[0]), limits[1] - count + 1), count


def propose_integers(recorder, position, value):
    """Ask for a model input of an integer type as it is."""
    limits = integer_range(value.dtype)
    if limits is not None and value.size:
        first, levels = grid_of(*seen_integers(recorder, position, value), limits)
        recorder.propose_grid(position, 1.0, first, levels)


def seen_integers(recorder, key, value):
    """Lowest and highest integer of a tensor in this batch and those before."""
    value = to_integers(value)
    low, high = recorder.notes.get(key, (value.min(), value.max()))
    recorder.notes[key] = min(low, value.min()), max(high, value.max())
    return recorder.notes[key]


def clear_parameters(ctx, **tensors):
    """Refuse encrypted scales, zero points and the like.

    Raises
    ------
    QuantizationError
        One of them is encrypted.
    """
    for name, tensor in tensors.items():
        if isinstance(tensor, EncryptedTensor):
            ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")


def on_integers(ctx: LoweringContext, x: EncryptedTensor) -> EncryptedTensor:
    """Bring a tensor of integers onto a grid that holds every one of them.

    One lookup per element unless it is on such a grid already.
    """
    if x.register.size == 0 or _is_straight(x):
        return x
    if x.decode.grid is not None:
        return requantize(ctx, x)
    low, high = ctx.builder.occupied(x.register, x.channel, x.decode.channels)
    span = int((high - low).max(initial=0))
    points = min(span + 1, max(2, _SIZE // x.decode.channels))
    steps = np.linspace(0.0, 1.0, points)
    q = low[:, np.newaxis] + np.rint(steps * (high - low)[:, np.newaxis]).astype(np.int64)
    value = x.typed(q, np.arange(x.decode.channels)[:, np.newaxis]).astype(np.float64)
    first = float(value.min())
    return lookup(ctx, x, Grid(1.0, first, int(value.max() - first) + 1))


def kept_integers(y: EncryptedTensor, dtype) -> EncryptedTensor:
    """Say of integers of a type that the model made them, so that they stay what they are."""
    limits = integer_range(dtype)
    if limits is None:
        return y
    low, high = limits
    return y.kept_on(1.0, low, high - low + 1)


def _is_straight(x: EncryptedTensor) -> bool:
    """Whether a tensor has one step for all that may vary in it."""
    interval, bounds = x.register.interval, x.register.bounds
    if interval.high - interval.low >= _POINTS:
        return False
    low = np.full(x.decode.channels, interval.high)
    high = np.full(x.decode.channels, interval.low)
    np.minimum.at(low, x.channel, np.clip(bounds.low, interval.low, interval.high))
    np.maximum.at(high, x.channel, np.clip(bounds.high, interval.low, interval.high))
    q = np.arange(interval.low, interval.high + 1)
    met: set[float] = set()
    block = max(1, _SIZE // len(q))
    for start in range(0, len(low), block):
        channel = np.arange(start, min(start + block, len(low)))[:, np.newaxis]
        rise = np.diff(x.typed(q[np.newaxis], channel).astype(np.float64), axis=1)
        inside = (q[:-1] >= low[channel]) & (q[1:] <= high[channel])
        met.update(np.unique(rise[inside]))
        if len(met) > 1:
            return False
    return True
