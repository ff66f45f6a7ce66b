"""Moving encrypted elements: any rearrangement, found by letting indices make the journey.

A movement operator is run on arrays of element numbers. Where each number ends up says what
moved where, whatever the operator; the builder then emits the plainest instructions that do it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.quantization.affine import affine_parameters
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import Decode, EncryptedTensor, ModelGrid, group_rows
from cml_core.quantization.grid import requantize

__all__ = ["broadcast_to", "move", "reshape", "transpose"]

Moved = EncryptedTensor | np.ndarray


def move(
    ctx: LoweringContext, function: Callable[..., Any], tensors: Sequence[Any]
) -> tuple[Moved, ...]:
    """Rearrange tensors the way a function rearranges arrays.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    function : callable
        `function(*arrays) -> array or tuple of arrays`; may move, repeat, drop and stack
        elements and fill in zeros, but not compute with them.
    tensors : sequence of EncryptedTensor, array or None
        What moves. Clear arrays may be mixed in.

    Returns
    -------
    tuple
        For each result an EncryptedTensor, or a clear array if nothing encrypted reached it.
    """
    sources = _Sources.of(tensors)
    results = function(*sources.numbers)
    results = results if isinstance(results, tuple) else (results,)
    if sum(np.size(result) for result in results) > sources.starts[-1]:
        # Looked up after it was repeated, an element would cost as many lookups.
        sources = _Sources.of([_on_own_grid(ctx, tensor) for tensor in tensors])
    dtype = next(t.dtype for t in tensors if isinstance(t, EncryptedTensor))
    return tuple(_arrive(ctx, sources, np.asarray(r, dtype=np.int64), dtype) for r in results)


def reshape(ctx: LoweringContext, x: EncryptedTensor, shape: Sequence[int]) -> EncryptedTensor:
    """Give an encrypted tensor another shape of the same size; it costs nothing.

    Parameters
    ----------
    ctx : LoweringContext
        The context of the node.
    x : EncryptedTensor
        The tensor.
    shape : sequence of int
        The shape of one sample, the batch axis of size 1 included; -1 stands for what is left.
    """
    return _encrypted(move(ctx, lambda a: a.reshape(tuple(shape)), [x]))


def transpose(ctx: LoweringContext, x: EncryptedTensor, perm: Sequence[int]) -> EncryptedTensor:
    """Put the axes of an encrypted tensor in another order; it costs nothing.

    Parameters
    ----------
    ctx, x
        As of `reshape`.
    perm : sequence of int
        Which axis of `x` comes at each place, as `numpy.transpose` has it.
    """
    return _encrypted(move(ctx, lambda a: a.transpose(tuple(perm)), [x]))


def broadcast_to(ctx: LoweringContext, x: EncryptedTensor, shape: Sequence[int]) -> EncryptedTensor:
    """Repeat an encrypted tensor to a larger shape, by NumPy's rule; it costs nothing.

    Parameters
    ----------
    ctx, x
        As of `reshape`.
    shape : sequence of int
        The shape of one sample.
    """
    if tuple(shape) == x.shape:
        return x
    return _encrypted(move(ctx, lambda a: np.broadcast_to(a, tuple(shape)), [x]))


def _on_own_grid(ctx: LoweringContext, tensor: Any) -> Any:
    """Look up a tensor that the model itself puts on a grid, if its integers are not on it."""
    if not isinstance(tensor, EncryptedTensor) or tensor.decode.grid is None:
        return tensor
    return tensor if affine_parameters(tensor) is not None else requantize(ctx, tensor)


def _encrypted(moved: tuple[Moved, ...]) -> EncryptedTensor:
    (result,) = moved
    assert isinstance(result, EncryptedTensor)
    return result


@attrs.frozen(slots=True, eq=False)
class _Sources:
    """The elements that set out, numbered from 1; number 0 is the real value zero.

    Elements of registers come first, then clear values.
    """

    numbers: tuple[np.ndarray | None, ...]
    registers: tuple[Register, ...]
    starts: np.ndarray
    channel: np.ndarray
    decode: Decode

    @classmethod
    def of(cls, tensors: Sequence[Any]) -> _Sources:
        encrypted = [t for t in tensors if isinstance(t, EncryptedTensor)]
        clear = [
            np.asarray(t) for t in tensors if t is not None and not isinstance(t, EncryptedTensor)
        ]
        values = np.concatenate([[0.0], *(a.reshape(-1).astype(np.float64) for a in clear)])
        own = ModelGrid(np.ones(len(values)), values, 1)
        constant = Decode(len(values), lambda q, c: values[c] + 0 * q, own)
        sizes = [t.register.size for t in encrypted]
        starts = np.cumsum([0, *sizes])
        parts = [t.decode for t in encrypted]
        shifts = np.cumsum([0, *(part.channels for part in parts)])
        # channel[k] is the decode channel of element number k, with the clear zero in front.
        channel = np.concatenate(
            [
                [shifts[-1]],
                *(t.channel.reshape(-1) + s for t, s in zip(encrypted, shifts, strict=False)),
                shifts[-1] + np.arange(1, len(values)),
            ]
        ).astype(np.int64)
        numbers: list[np.ndarray | None] = []
        upcoming = {True: 1, False: 1 + int(starts[-1])}
        for tensor in tensors:
            if tensor is None:
                numbers.append(None)
                continue
            kind = isinstance(tensor, EncryptedTensor)
            shape = tensor.shape if kind else np.shape(tensor)
            size = math.prod(shape)
            numbers.append(np.arange(upcoming[kind], upcoming[kind] + size).reshape(shape))
            upcoming[kind] += size
        return cls(
            tuple(numbers),
            tuple(t.register for t in encrypted),
            starts,
            channel,
            Decode.union([*parts, constant]),
        )


def _arrive(
    ctx: LoweringContext, sources: _Sources, number: np.ndarray, dtype: np.dtype[Any]
) -> Moved:
    total = int(sources.starts[-1])
    wanted = sources.channel[number]
    is_encrypted = (number >= 1) & (number <= total)
    if not is_encrypted.any():
        clear = sources.decode(np.zeros(number.shape), wanted)
        return np.asarray(clear, dtype=dtype)
    rows, channel = group_rows([wanted])
    register = _emit(ctx.builder, sources, np.where(is_encrypted, number - 1, -1))
    return EncryptedTensor(register, channel, sources.decode.pick(rows[:, 0]), dtype)


def _emit(builder: ProgramBuilder, sources: _Sources, index: np.ndarray) -> Register:
    """Bring elements to the places that `index` says; -1 asks for a zero."""
    if (index < 0).any():
        padded = _as_padding(builder, sources, index)
        return padded if padded is not None else _gather_all(builder, sources, index)
    source = np.searchsorted(sources.starts[1:], index, side="right")
    if (source == source.flat[0]).all():
        chosen = int(source.flat[0])
        return _view(builder, sources.registers[chosen], index - sources.starts[chosen])
    stacked = _as_concat(builder, sources, index, source)
    return stacked if stacked is not None else _gather_all(builder, sources, index)


def _as_padding(builder: ProgramBuilder, sources: _Sources, index: np.ndarray) -> Register | None:
    filled = index >= 0
    places = np.nonzero(filled)
    low = [int(axis.min()) for axis in places]
    high = [int(axis.max()) + 1 for axis in places]
    box = tuple(map(slice, low, high))
    if not filled[box].all():
        return None
    inner = _emit(builder, sources, index[box])
    after = tuple(size - stop for size, stop in zip(index.shape, high, strict=True))
    return builder.emit(Opcode.PAD, [inner], {"before": tuple(low), "after": after})


def _as_concat(
    builder: ProgramBuilder, sources: _Sources, index: np.ndarray, source: np.ndarray
) -> Register | None:
    for axis in range(index.ndim):
        slabs = np.moveaxis(source, axis, 0).reshape(index.shape[axis], -1)
        if (slabs != slabs[:, :1]).any():
            continue
        cuts = [0, *(np.flatnonzero(np.diff(slabs[:, 0])) + 1), index.shape[axis]]
        parts = []
        for start, stop in pairwise(cuts):
            piece = np.take(index, np.arange(start, stop), axis=axis)
            parts.append(_emit(builder, sources, piece))
        return builder.emit(Opcode.CONCAT, parts, {"axis": axis})
    return None


def _gather_all(builder: ProgramBuilder, sources: _Sources, index: np.ndarray) -> Register:
    flat = [builder.emit(Opcode.RESHAPE, [r], shape=(r.size,)) for r in sources.registers]
    joined = flat[0] if len(flat) == 1 else builder.emit(Opcode.CONCAT, flat, {"axis": 0})
    if (index < 0).any():
        index = np.where(index < 0, joined.size, index)
        joined = builder.emit(Opcode.PAD, [joined], {"before": (0,), "after": (1,)})
    return builder.emit(Opcode.GATHER, [joined], constants={"index": index})


def _view(builder: ProgramBuilder, register: Register, index: np.ndarray) -> Register:
    """Take elements of one register: as a reshape, as slices and axes, or one by one."""
    if index.size == register.size and (index.reshape(-1) == np.arange(index.size)).all():
        return _reshaped(builder, register, index.shape)
    plan = _strided(register.shape, index)
    if plan is None:
        flat = _reshaped(builder, register, (register.size,))
        return builder.emit(Opcode.GATHER, [flat], constants={"index": index})
    cut = tuple(map(slice, *plan.slices)) if register.shape else ()
    whole = np.arange(register.size).reshape(register.shape)
    if (cut and whole[cut].shape != register.shape) or (cut and (whole[cut] != whole).any()):
        starts, stops, steps = plan.slices
        register = builder.emit(
            Opcode.SLICE, [register], {"starts": starts, "stops": stops, "steps": steps}
        )
    if plan.perm != tuple(range(len(plan.perm))):
        register = builder.emit(Opcode.TRANSPOSE, [register], {"perm": plan.perm})
    register = _reshaped(builder, register, plan.shape)
    if plan.shape != index.shape:
        register = builder.emit(Opcode.BROADCAST, [register], shape=index.shape)
    return register


def _reshaped(builder: ProgramBuilder, register: Register, shape: tuple[int, ...]) -> Register:
    if register.shape == shape:
        return register
    return builder.emit(Opcode.RESHAPE, [register], shape=shape)


@attrs.frozen(slots=True)
class _Plan:
    """A strided view as slices, then an order of axes, then a shape that broadcasts."""

    slices: tuple[tuple[int, ...], tuple[int | None, ...], tuple[int, ...]]
    perm: tuple[int, ...]
    shape: tuple[int, ...]


def _strided(shape: tuple[int, ...], index: np.ndarray) -> _Plan | None:
    """Express an index array as slices and a transposition of an array of `shape`, if it is one."""
    if index.size == 0 or 0 in shape:
        return None
    origin = int(index.flat[0])
    corner = (0,) * index.ndim
    strides = [
        int(index[(*corner[:d], 1, *corner[d + 1 :])]) - origin if size > 1 else 0
        for d, size in enumerate(index.shape)
    ]
    pitch = [int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape))]
    position = list(np.unravel_index(origin, shape)) if shape else []
    axis_of: dict[int, int] = {}
    starts = [int(p) for p in position]
    stops: list[int | None] = [int(p) + 1 for p in position]
    steps = [1] * len(shape)
    for d, stride in enumerate(strides):
        if stride == 0:
            continue
        fits = [
            axis
            for axis in range(len(shape))
            if axis not in axis_of.values()
            and stride % pitch[axis] == 0
            and 0 <= starts[axis] + (index.shape[d] - 1) * (stride // pitch[axis]) < shape[axis]
        ]
        if not fits:
            return None
        axis = max(fits, key=lambda a: pitch[a])
        step = stride // pitch[axis]
        last = starts[axis] + (index.shape[d] - 1) * step
        end = last + (1 if step > 0 else -1)
        axis_of[d], steps[axis] = axis, step
        stops[axis] = None if end < 0 else end
    used = [axis_of[d] for d in sorted(axis_of)]
    perm = (*(axis for axis in range(len(shape)) if axis not in used), *used)
    lined = tuple(index.shape[d] if d in axis_of else 1 for d in range(index.ndim))
    plan = _Plan((tuple(starts), tuple(stops), tuple(steps)), perm, lined)
    numbers = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    cut = numbers[tuple(map(slice, *plan.slices))] if shape else numbers
    moved = np.broadcast_to(cut.transpose(perm).reshape(lined), index.shape)
    return plan if (moved == index).all() else None
