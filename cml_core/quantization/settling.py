"""Before a register is read: its channels moved, made to fill a width, and rounded to it."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.errors import BitWidthError, WideLookup
from cml_core.program.instructions import Interval, Opcode, bit_width
from cml_core.quantization.builder import Register, pooled
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor

__all__ = ["rounded", "rounded_top", "settle"]

#: Widest lookup that is built at all; compilers draw their own line, at 16 bits.
_WIDEST = 20
#: Bits of filling, on average over channels, that are worth a wider integer.
_WORTH = 0.15
#: How much of a calibrated range, its margin included, may be given up for a narrower integer.
_GIVE = 1.04


def rounded_top(width: int, shift: int, exact: bool) -> int:
    """Largest integer of `width` bits that does not leave them when `shift` bits are rounded away.

    Approximate rounding may err by nearly half a step, so it needs half a step more room.
    """
    step = 1 << shift
    if shift == 0:
        return int(2**width - 1)
    return int(2**width - 1 - step // 2 if exact else 2**width - step)


def settle(ctx: LoweringContext, tensor: EncryptedTensor) -> tuple[EncryptedTensor, int]:
    """Prepare a register to be read; return the tensor and how many low bits to round away.

    Each channel is moved by a constant, which is free, so that all of them start at zero and the
    widest one decides the width. What room is left in that width is divided between both sides.
    Low bits are to be rounded away if the result is wider than the node's `rounding_bits`.
    """
    exact = ctx.bits.rounding != "approximate"
    tensor, width = _filled(ctx, tensor, exact)
    register = tensor.register
    channels = tensor.channel, tensor.decode.channels
    low, high = ctx.builder.occupied(register, *channels)
    keep = None if register.packed else ctx.bits.rounding_bits
    shift = max(0, width - keep) if keep else 0
    if width - shift > _WIDEST:
        raise BitWidthError((WideLookup(ctx.bound.name, width - shift),), 16)
    top = rounded_top(width, shift, exact)
    fits = register.interval.low >= 0 and register.interval.high <= top
    if not fits:
        proven_low, _ = pooled(*channels, register.bounds.low, register.bounds.high)
        base = np.maximum(low - (top - (high - low)) // 2, np.minimum(proven_low, low))
        # What of the margin is given up is not taken from what was seen.
        seen_low, seen_high = ctx.builder.seen(register, *channels)
        base = np.clip(base, seen_high - top, np.maximum(seen_low, seen_high - top))
        register = ctx.builder.emit(
            Opcode.ADD,
            [register],
            constants={"operand": -base[tensor.channel]},
            interval=Interval(0, top),
        )
        decode = tensor.decode
        moved = type(decode)(decode.channels, lambda q, c: decode(q + base[c], c))
        tensor = attrs.evolve(tensor, register=register, decode=moved)
    return tensor, shift


def rounded(ctx: LoweringContext, register: Register, shift: int) -> Register:
    """Round low bits of a register away, for one lookup or for the client and nobody else."""
    if not shift:
        return register
    half = (1 << shift) >> 1
    interval = Interval(0, ((register.interval.high + half) >> shift) << shift)
    settings = {"lsbs": shift, "exact": ctx.bits.rounding != "approximate"}
    return ctx.builder.emit(Opcode.ROUND, [register], settings, interval=interval)


def _filled(
    ctx: LoweringContext, tensor: EncryptedTensor, exact: bool
) -> tuple[EncryptedTensor, int]:
    """Multiply each channel by a clear integer so that it fills the width that rounding keeps.

    Rounding takes the same number of low bits from all channels; a channel that uses few
    integers would lose most of what it says. Returns the tensor and the width that it fills.
    """
    register, decode = tensor.register, tensor.decode
    low, high = ctx.builder.occupied(register, tensor.channel, decode.channels)
    span = high - low
    widest = int(span.max(initial=0))
    width = bit_width(0, widest)
    keep = None if register.packed else ctx.bits.rounding_bits
    if not keep or width <= keep:
        return tensor, width
    present = span[span > 0]
    give = 1.0 if ctx.builder.proven else _GIVE
    seen_low, seen_high = ctx.builder.seen(register, tensor.channel, decode.channels)
    needed = int((seen_high - seen_low).max(initial=0))
    best, factor = (0.0, width), np.ones_like(span)
    # Wider integers hold whole multiples that fill better; exact rounding pays for each bit.
    for spare in range(1 if exact else 3):
        room = width + spare
        top = rounded_top(room, room - keep, exact)
        if widest > top * give or needed > top:
            room, top = room + 1, rounded_top(room + 1, room + 1 - keep, exact)
        whole = np.maximum(top // np.maximum(span, 1), 1)
        used = float(np.mean(np.log2(np.minimum(present * whole[span > 0] / top, 1.0))))
        if spare == 0 or used > best[0] + _WORTH:
            best, factor = (used, room), np.where(span > 0, whole, 1)
    if (factor == 1).all():
        return tensor, best[1]
    register = ctx.builder.emit(
        Opcode.MULTIPLY, [register], constants={"operand": factor[tensor.channel]}
    )
    filled = type(decode)(decode.channels, lambda q, c: decode(q / factor[c], c))
    return attrs.evolve(tensor, register=register, decode=filled), best[1]
