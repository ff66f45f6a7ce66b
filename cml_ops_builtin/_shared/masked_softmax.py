"""Softmax of encrypted scores along the last axis, of which a clear mask excludes some.

softmax(s) = exp(s - log(sum(exp(s)))): a lookup gives exp(s) for each score, one for each row the
logarithm on the grid of the scores, and one for each score the exponential of the difference.
Where rows differ so much that one constant cannot bring them all into the range of exp, the
largest score of each row is found first, by one lookup for each score but one.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    affine,
    elementwise,
    lookup,
    maximum,
    move,
    subtract,
    sum_,
)

__all__ = ["masked_softmax"]

#: How much larger one row's sum of exponentials may be than another's, in steps that rounding
#: leaves of the largest: enough for a logarithm with an error of a tenth or so.
_LEAST_STEPS = 8.0


def masked_softmax(
    ctx: LoweringContext, scores: EncryptedTensor, allowed: np.ndarray
) -> EncryptedTensor:
    """Softmax along the last axis over allowed scores; zero elsewhere.

    Parameters
    ----------
    scores : EncryptedTensor of shape (..., N)
        Scores.
    allowed : bool array of that shape
        Which scores count; a row without any is zero.
    """
    # Nothing here is multiplied by weights, so wide integers do no harm.
    ctx = attrs.evolve(ctx, feeds_lookup=False)
    bits = ctx.bits.activation_bits or ctx.config.activation_bits
    view = affine(ctx, scores, bits=bits + 2, varying=tuple(range(scores.ndim - 1)))
    scores = EncryptedTensor.on_grid(view.register, view.scale, view.offset, scores.dtype)
    step = np.abs(view.scale[..., :1])
    step = np.where(step > 0, step, 1.0)
    real = np.where(allowed, scores.values(), -np.inf)
    top = real.max(axis=-1, keepdims=True, initial=-np.inf)
    highest = float(top.max(initial=-np.inf))
    if not np.isfinite(highest):
        return np.zeros(scores.shape, dtype=scores.dtype)
    sums = np.exp(real - highest).sum(axis=-1)
    least = float(np.where(sums > 0, sums, np.inf).min())
    kept = ctx.bits.rounding_bits or bits + 2
    if float(sums.max()) / least > 2.0**kept / _LEAST_STEPS:
        scores = subtract(ctx, scores, _row_maximum(ctx, scores, allowed))
        highest, least = 0.0, 1.0
    chosen = _chosen(ctx, scores, allowed)
    fine = least / 2.0 ** (bits + 2)
    power = elementwise(ctx, lambda s: np.exp(s - highest), chosen)
    # The range has room for scores somewhat above those that calibration saw.
    power = lookup(ctx, power, Grid(fine, 0.0, int(np.ceil(1.5 / fine)) + 1))
    total = sum_(ctx, _spread(ctx, power, allowed), (-1,), keepdims=True)
    log = elementwise(ctx, lambda t: np.log(np.maximum(t, least / 2)) + highest, total)
    norm = log.values()
    low = np.floor((norm.min() - 0.5) / step)
    levels = int(np.max(np.ceil((norm.max() + 0.5) / step) - low)) + 1
    log = lookup(ctx, log, Grid(step, low * step, levels))
    rest = _chosen(ctx, subtract(ctx, scores, log), allowed)
    alone = np.broadcast_to(allowed.sum(axis=-1, keepdims=True) == 1, allowed.shape)
    alone = alone if allowed.all() else alone[allowed]
    weight = elementwise(
        ctx, lambda d, one: np.where(one, 1.0, np.minimum(np.exp(d), 1.0)), rest, alone
    )
    # A grid that starts at zero has whole numbers for zero points, and so exact products.
    top = ctx.value_range(weight)[1] or 1.0
    grid = Grid(top / (2**bits - 1), 0.0, 2**bits)
    return _spread(ctx, lookup(ctx, weight, grid), allowed)


def _chosen(ctx: LoweringContext, x: EncryptedTensor, allowed: np.ndarray) -> EncryptedTensor:
    """Leave out what the mask excludes, so that it takes no lookups."""
    return x if allowed.all() else move(ctx, lambda a: a[allowed], [x])[0]


def _spread(ctx: LoweringContext, x: EncryptedTensor, allowed: np.ndarray) -> EncryptedTensor:
    """Put chosen elements back in their places, with zeros between them."""

    def placed(numbers):
        whole = np.zeros(allowed.shape, dtype=numbers.dtype)
        whole[allowed] = numbers
        return whole

    return x if allowed.all() else move(ctx, placed, [x])[0]


def _row_maximum(ctx: LoweringContext, x: EncryptedTensor, allowed: np.ndarray) -> EncryptedTensor:
    """The largest allowed element of each row, by a tournament."""
    if not allowed.all():
        # What is excluded makes room for another element of its row, which changes no maximum.
        place = np.where(allowed, np.arange(allowed.shape[-1]), allowed.argmax(axis=-1)[..., None])
        (x,) = move(ctx, lambda a: np.take_along_axis(a, place, axis=-1), [x])
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        first, second, rest = move(
            ctx, lambda a, h=half: (a[..., :h], a[..., h : 2 * h], a[..., 2 * h :]), [x]
        )
        x = maximum(ctx, first, second)
        if rest.shape[-1]:
            (x,) = move(ctx, lambda a, b: np.concatenate([a, b], axis=-1), [x, rest])
    return x
