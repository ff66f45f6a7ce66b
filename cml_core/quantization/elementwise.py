"""Elementwise functions of encrypted tensors.

With all encrypted operands on one register, the function composes onto the decode: it costs
nothing and emits nothing, however long the chain. With several, an operand-specific rule
(`combine`) may lower it; otherwise the operands' integers are packed into one, of which the
function is again a decode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cml_core.program.cost import lookup_complexity
from cml_core.program.instructions import Interval, Opcode, bit_width
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import Decode, EncryptedTensor, ModelGrid, group_rows
from cml_core.quantization.grid import choose_grid, requantize
from cml_core.quantization.lookup import lookup
from cml_core.quantization.movement import broadcast_to

__all__ = ["elementwise", "pack"]

Combine = Callable[..., EncryptedTensor]
Read = Callable[[EncryptedTensor, np.ndarray], np.ndarray]

#: Most numbers at which a function of a tensor on the model's grid is examined.
_GRID_SIZE = 2**22


def elementwise(
    ctx: LoweringContext,
    function: Callable[..., Any],
    *tensors: Any,
    combine: Combine | None = None,
) -> EncryptedTensor:
    """Apply an elementwise function to encrypted and clear tensors.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    function : callable
        `function(*arrays) -> array`, elementwise, on arrays that broadcast.
    tensors : EncryptedTensor, array or None
        At least one is encrypted; `None` is passed on as it is.
    combine : callable, optional
        `combine(ctx, *tensors) -> EncryptedTensor`, used when the encrypted operands are on
        different registers. By default they are packed.
    """
    shapes = [
        np.shape(t) if not isinstance(t, EncryptedTensor) else t.shape
        for t in tensors
        if t is not None
    ]
    shape = np.broadcast_shapes(*shapes)
    spread = [broadcast_to(ctx, t, shape) if isinstance(t, EncryptedTensor) else t for t in tensors]
    registers = {t.register.position for t in spread if isinstance(t, EncryptedTensor)}
    if len(registers) > 1:
        if combine is not None:
            return combine(ctx, *spread)
        spread = pack(ctx, spread)
    return _compose(ctx, function, spread)


def _compose(
    ctx: LoweringContext, function: Callable[..., Any], tensors: Sequence[Any]
) -> EncryptedTensor:
    """Compose a function onto the decode of the one register that all operands share."""
    encrypted = [t for t in tensors if isinstance(t, EncryptedTensor)]
    register = encrypted[0].register
    dtype = ctx.result_dtype(function, *tensors)
    columns, owner = [], []
    for place, tensor in enumerate(tensors):
        if isinstance(tensor, EncryptedTensor):
            columns.append(tensor.channel)
            owner.append(place)
        elif isinstance(tensor, np.ndarray) and tensor.size > 1:
            spread = np.broadcast_to(tensor, register.shape)
            columns.append(np.unique(spread, return_inverse=True)[1].reshape(register.shape))
            owner.append(place)
    rows, channel = group_rows(columns)
    of_channel = {place: rows[:, k] for k, place in enumerate(owner)}
    constants = {
        place: np.unique(_precise(tensor))[of_channel[place]]
        if place in of_channel
        else _precise(tensor)
        for place, tensor in enumerate(tensors)
        if not isinstance(tensor, EncryptedTensor)
    }

    def applied(read: Read, c: np.ndarray) -> np.ndarray:
        arguments = []
        for place, tensor in enumerate(tensors):
            if isinstance(tensor, EncryptedTensor):
                arguments.append(read(tensor, of_channel[place][c]))
            elif place in of_channel:
                arguments.append(constants[place][c])
            else:
                arguments.append(constants[place])
        return np.asarray(function(*arguments))

    def decode(q: np.ndarray, c: np.ndarray) -> np.ndarray:
        value = applied(lambda tensor, channel: tensor.typed(q, channel), c)
        q, c = np.broadcast_arrays(q, c)
        return np.broadcast_to(value, q.shape)

    grid = _grid_of_result(encrypted, applied, len(rows))
    return EncryptedTensor(register, channel, Decode(len(rows), decode, grid), dtype)


def _grid_of_result(
    operands: Sequence[EncryptedTensor],
    applied: Callable[[Read, np.ndarray], np.ndarray],
    channels: int,
) -> ModelGrid | None:
    """The grid of a function of one tensor that the model put on a grid, if it keeps it on one."""
    known = operands[0].decode.grid
    if len(operands) > 1 or known is None or known.levels * channels > _GRID_SIZE:
        return None

    def read(tensor: EncryptedTensor, channel: np.ndarray) -> np.ndarray:
        return tensor.as_typed(known.values(channel[:, 0]))

    try:
        with np.errstate(all="ignore"):
            values = applied(read, np.arange(channels)[:, np.newaxis])
    except Exception:
        return None  # It takes no values that the model does not reach.
    return ModelGrid.around(np.broadcast_to(values, (channels, known.levels)), known.levels)


def _precise(value: Any) -> Any:
    """Return a clear operand in float64 if it is a float, without axes if it is one number."""
    if not isinstance(value, np.ndarray):
        return value
    value = value.astype(np.float64) if value.dtype.kind == "f" else value
    return value.reshape(()) if value.size == 1 else value


def pack(ctx: LoweringContext, tensors: Sequence[Any]) -> list[Any]:
    """Pack operands on different registers into one integer per element.

    An integer `q0 + n0 * q1 + n0 * n1 * q2 …` holds them all, so any function of them is a
    function of one register: one lookup of as many bits as they have together. Operands that are
    wider than the node's activation width are requantized to it first.

    Returns
    -------
    list
        The tensors, all encrypted ones now on one register.
    """
    narrow = _narrowed(ctx, tensors)
    parts = {t.register.position: t for t in narrow if isinstance(t, EncryptedTensor)}
    base, packed, place = 1, None, {}
    for position, tensor in parts.items():
        register, interval = tensor.register, tensor.register.interval
        levels = interval.high - interval.low + 1
        if interval.low != 0:
            operand = np.full(register.shape, -interval.low)
            register = ctx.builder.emit(
                Opcode.ADD,
                [register],
                constants={"operand": operand},
                interval=Interval(0, levels - 1),
            )
        if base != 1:
            operand = np.full(register.shape, base)
            register = ctx.builder.emit(
                Opcode.MULTIPLY,
                [register],
                constants={"operand": operand},
                interval=Interval(0, (levels - 1) * base),
            )
        place[position] = (base, levels, interval.low)
        base *= levels
        if packed is None:
            packed = register
        else:
            packed = ctx.builder.emit(
                Opcode.ADD, [packed, register], interval=Interval(0, base - 1), packed=True
            )
    assert packed is not None

    def unpacked(tensor: EncryptedTensor) -> EncryptedTensor:
        unit, levels, low = place[tensor.register.position]
        inner = tensor.decode
        decode = Decode(inner.channels, lambda q, c: inner((q // unit) % levels + low, c))
        return EncryptedTensor(packed, tensor.channel, decode, tensor.dtype)

    return [unpacked(t) if isinstance(t, EncryptedTensor) else t for t in narrow]


def _narrowed(ctx: LoweringContext, tensors: Sequence[Any]) -> list[Any]:
    """Requantize operands that are too wide to pack, or of so few values that it pays."""
    limit = ctx.bits.activation_bits or 4
    encrypted = {id(t): t for t in tensors if isinstance(t, EncryptedTensor)}
    widths = {key: bit_width(0, _levels(t) - 1) for key, t in encrypted.items()}
    shared = len({t.register.position for t in encrypted.values()}) < len(encrypted)
    for key, tensor in encrypted.items():
        total = sum(min(width, limit) for width in widths.values())
        if widths[key] > limit:
            encrypted[key] = lookup(ctx, tensor, choose_grid(ctx, tensor, limit))
        elif not shared:
            few = bit_width(0, choose_grid(ctx, tensor, limit).levels - 1)
            saved = lookup_complexity(total) - lookup_complexity(total - widths[key] + few)
            if few < widths[key] and saved > lookup_complexity(widths[key]):
                encrypted[key] = requantize(ctx, tensor)
                widths[key] = few
    return [encrypted.get(id(t), t) if isinstance(t, EncryptedTensor) else t for t in tensors]


def _levels(tensor: EncryptedTensor) -> int:
    interval = tensor.register.interval
    return interval.high - interval.low + 1
