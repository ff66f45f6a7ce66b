"""Softmax and its kin along one axis, in float and inside the circuit.

Encrypted, softmax(x) = exp(x - log(sum(exp(x)))): each element is looked up for its exponential,
each row for the logarithm of the sum, which is then subtracted on the grid of x. The last
exponential lives in the decode.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    Grid,
    LoweringContext,
    elementwise,
    lookup,
    maximum,
    reshape,
    subtract,
    sum_,
)
from cml_ops_builtin._shared.extremes import extreme, halving
from cml_ops_builtin._shared.leveling import (
    bits_of,
    centred,
    finer,
    on_one_scale,
    on_steps,
    roomier,
    rounding_to,
    step_of,
    unhurried,
)
from cml_ops_builtin._shared.precision import widened

__all__ = [
    "QuantizedAlong",
    "QuantizedOnMatrix",
    "encrypted_log_softmax",
    "encrypted_softmax",
    "hardmax_along",
    "log_softmax_along",
    "softmax_along",
]

#: Bits that rounding should leave of the smallest sum of exponentials, so that its logarithm is
#: right, and bits that it must leave.
_SUM_BITS = 4
_LEAST_BITS = 3
#: Most bits that the lookup of a logarithm, one for each row, may be wider than other lookups.
_WIDER = 4
#: How much more a lookup costs for each bit.
_GROWTH = 2.3
#: How far below the smallest share that a result can show elements are cut off.
_BELOW = 1.0
#: Share of the range of x that must be cut off to be worth a lookup for each element.
_WORTH = 0.35
#: Widest integers for which a lookup of each element is saved.
_WIDEST = 13
#: How much larger than all of the calibration data an exponential may be.
_ROOM = 1.5
#: How often the largest element is looked for and subtracted, each time on a finer grid.
_PASSES = 3
#: Logarithm of the largest share of two exponentials that integers hold, with room for bits.
_FARTHEST = 30.0
#: Elements of the rows that are taken at a time.
_ROWS = 1 << 15
#: Rows of fewer elements are turned into columns to find their largest ones: it takes a third of
#: the time of NumPy's maximum of each row. Of longer ones, `argmax` does.
_SHORT = 48


def softmax_along(x, *, axis):
    if _has_rows(x, axis):
        return (_of_rows(x, _softmax_of_rows),)
    power = _below_zero(x, axis)
    np.exp(power, power)
    # Added in half precision, more than a few hundred elements would no longer count.
    total = widened(power).sum(axis=axis, keepdims=True)
    return (np.divide(power, total.astype(x.dtype, copy=False), power),)


def _has_rows(x, axis):
    return x.dtype in (np.float32, np.float64) and x.size and axis in (-1, x.ndim - 1)


def _of_rows(x, function):
    """Apply a function that changes rows whose largest element is zero.

    This is done for as many rows at a time as a cache holds. The function sums by `einsum`, which
    takes a third of the time of NumPy's sums of short rows.
    """
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty(rows.shape, rows.dtype)
    step = max(1, _ROWS // rows.shape[1])
    for start in range(0, len(rows), step):
        part, shifted = rows[start : start + step], out[start : start + step]
        np.subtract(part, _largest_of_rows(part)[:, np.newaxis], shifted)
        function(shifted)
    return out.reshape(x.shape)


def _softmax_of_rows(shifted):
    np.exp(shifted, shifted)
    np.divide(shifted, np.einsum("ij->i", shifted)[:, np.newaxis], shifted)


def _log_softmax_of_rows(shifted):
    total = np.einsum("ij->i", np.exp(shifted))
    np.subtract(shifted, np.log(total, total)[:, np.newaxis], shifted)


def _largest_of_rows(rows):
    """The largest element of each row, NaN if there is one, as NumPy finds it the fastest."""
    if rows.shape[1] < _SHORT and len(rows) > 1:
        return np.maximum.reduce(rows.T.copy(), axis=0)
    return rows[np.arange(len(rows)), rows.argmax(axis=1)]


def log_softmax_along(x, *, axis):
    if _has_rows(x, axis):
        return (_of_rows(x, _log_softmax_of_rows),)
    shifted = _below_zero(widened(x), axis)
    total = np.exp(shifted).sum(axis=axis, keepdims=True)
    np.subtract(shifted, np.log(total, total), shifted)
    return (shifted.astype(x.dtype, copy=False),)


def hardmax_along(x, *, axis):
    hot = np.zeros_like(x)
    if x.size:
        np.put_along_axis(hot, np.expand_dims(x.argmax(axis=axis), axis), 1, axis=axis)
    return (hot,)


def _below_zero(x, axis):
    """Shift x so that its largest element along the axis is zero: exp cannot overflow then."""
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)


def encrypted_softmax(
    ctx: LoweringContext, x: EncryptedTensor, axis: int
) -> EncryptedTensor | np.ndarray:
    """Softmax of an encrypted tensor along an axis: n + 1 lookups for a row of n elements.

    Up to 3 n more where rows differ so much that their largest elements must be found first, or
    where most of the range of x is too far below them to matter.

    Returns
    -------
    EncryptedTensor or array
        A clear array of ones if the axis has one element.
    """
    if x.shape[axis] == 1:
        return np.ones(x.shape, dtype=x.dtype)
    if not x.register.size:
        return x
    ctx = unhurried(ctx)
    x = on_one_scale(ctx, _clipped(ctx, x, axis), (axis,), widest=_WIDEST)
    x = _clipped(ctx, _gathered(ctx, x, axis), axis)
    rest = _without_log_sum(ctx, x, axis)
    return elementwise(ctx, lambda value: np.exp(np.minimum(value, 0)), rest)


def encrypted_log_softmax(
    ctx: LoweringContext, x: EncryptedTensor, axis: int
) -> EncryptedTensor | np.ndarray:
    """LogSoftmax of an encrypted tensor along an axis, on a grid.

    It takes n + 1 lookups for a row of n elements, up to 2 n more where rows differ much.

    Returns
    -------
    EncryptedTensor or array
        A clear array of zeros if the axis has one element.
    """
    if x.shape[axis] == 1:
        return np.zeros(x.shape, dtype=x.dtype)
    if not x.register.size:
        return x
    ctx = unhurried(ctx)
    x = _gathered(ctx, on_one_scale(ctx, x, (axis,), widest=_WIDEST), axis)
    return _without_log_sum(ctx, x, axis)


@attrs.frozen(slots=True)
class QuantizedAlong:
    """Quantized form of `operator(ctx, x, axis)`."""

    operator: object

    def __call__(self, ctx: LoweringContext, x, *, axis):
        return (self.operator(ctx, x, _checked(x, axis)),)


@attrs.frozen(slots=True)
class QuantizedOnMatrix:
    """Quantized form of the older revisions: all axes from `axis` on are one."""

    operator: object

    def __call__(self, ctx: LoweringContext, x, *, axis):
        axis = _checked(x, axis)
        rows = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
        result = self.operator(ctx, reshape(ctx, x, rows), 1)
        if isinstance(result, np.ndarray):
            return (result.reshape(x.shape),)
        return (reshape(ctx, result, x.shape),)


def _checked(x, axis):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    return axis % x.ndim


def _clipped(ctx, x, axis):
    """Cut off what is too small to matter, if so much of the range is; one lookup each."""
    real = x.values().astype(np.float64)
    low, high = float(real.min()), float(real.max())
    floor = float(_log_sums(x, axis).min()) - _BELOW - bits_of(ctx) * math.log(2)
    if floor - low < _WORTH * (high - low):
        return x
    levels = 2 ** (ctx.bits.rounding_bits or bits_of(ctx) + 1)
    step = (high - floor) / (levels - 1)
    cut = elementwise(ctx, lambda value: np.maximum(value, floor), x)
    return lookup(ctx, cut, Grid(step, floor, levels))


def _log_sums(x, axis):
    """log(sum(exp(x))) of every row of the calibration data."""
    real = x.values().astype(np.float64)
    axis = axis % x.ndim + 1
    top = real.max(axis=axis, keepdims=True)
    return np.log(np.exp(real - top).sum(axis=axis, keepdims=True)) + top


def _spread(x, axis):
    logarithm = _log_sums(x, axis)
    return float(logarithm.max() - logarithm.min())


def _wider(x, axis):
    """How many bits wider the lookup for a row may be, before a tournament would be cheaper."""
    return min(_WIDER, int(math.log(1 + 3 * x.shape[axis]) / math.log(_GROWTH)))


def _gathered(ctx, x, axis):
    """Shift rows, which changes no softmax, until their sums of exponentials are of one size."""
    keep = ctx.bits.rounding_bits
    if keep is None:
        return x
    most = (keep + _wider(x, axis) - _LEAST_BITS) * math.log(2)
    if _spread(x, axis) <= most:
        return x
    shifted, _ = centred(ctx, x, (axis % x.ndim,))
    if _spread(shifted, axis) <= most:
        return shifted
    steps = halving(x.shape, (axis % x.ndim,))
    for _ in range(_PASSES):
        # Elements are compared on a grid of their whole range, which is smaller the next time.
        x = subtract(ctx, x, on_steps(ctx, extreme(ctx, x, steps, maximum), step_of(x)))
        if _spread(x, axis) <= most:
            break
        x = _clipped(ctx, x, axis)
    return x


def _without_log_sum(ctx, x, axis):
    """Subtract the logarithm of the sum of exponentials from each element."""
    # On few steps of its own, the logarithm would be rounded to whole numbers.
    fine = finer(ctx, x)
    return subtract(ctx, fine, _log_sum(ctx, x, axis, step_of(fine)))


def _log_sum(ctx, x, axis, steps):
    """The logarithm of each row's sum of exponentials, in such steps."""
    known = _log_sums(x, axis)
    top, least = float(x.values().max()), float(known.min())
    if top - least > _FARTHEST:
        ctx.refuse(
            f"its rows lie up to {top - least:.0f} apart on the grid of {bits_of(ctx)} bits, too "
            "far for one scale of their exponentials; give it more bits, or scale what it takes"
        )
    # Steps as fine as the smallest sum needs; a wide result costs a lookup hardly anything.
    step = math.exp(least - top) / 2.0 ** (bits_of(ctx) + 2)
    power = elementwise(ctx, lambda value: np.exp(value - top), x)
    power = lookup(ctx, power, Grid(step, 0.0, math.ceil(_ROOM / step) + 1))
    with roomier(ctx):
        total = sum_(ctx, power, (axis,), keepdims=True)
    floor = math.exp(least - top) / 2
    logarithm = elementwise(ctx, lambda value: np.log(np.maximum(value, floor)) + top, total)
    wanted = _SUM_BITS + math.ceil((float(known.max()) - least) / math.log(2))
    extra = min(_wider(x, axis), wanted - (ctx.bits.rounding_bits or wanted))
    with roomier(ctx):
        return on_steps(rounding_to(ctx, extra), logarithm, steps)
