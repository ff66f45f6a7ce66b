"""Division of encrypted elements by what encrypted sums say, as all normalizations do it.

In logarithms a quotient is a difference. One lookup brings an element to the nearest power of a
base, with its sign in the lowest bit; one for each sum brings the divisor to powers of the same
base; their difference decodes to the quotient. A product of two encrypted numbers would take two
lookups for each element, here it takes one, and the result is as accurate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    Opcode,
    broadcast_to,
    elementwise,
    lookup,
    requantize,
    sum_,
)
from cml_ops_builtin._shared.leveling import (
    bits_of,
    centred,
    on_one_scale,
    roomier,
    rounding_to,
    unhurried,
)

__all__ = ["divided_by_power", "encrypted_standardized", "powers", "scaled"]

#: Bases that are tried, as logarithms.
_BASES = np.geomspace(0.02, 1.2, 48)
#: Bits that lookups of sums are wider than others, if there are so many fewer of them.
_WIDER = 2
_FEW = 4
#: Shares of the largest factors that may be left out.
_LEFT_OUT = (0.0, 0.002, 0.01, 0.03, 0.1)
#: Elements that a base is tried on.
_SAMPLES = 20_000
#: Exact rounding must not take off more bits for the finer lookup of elements to be worth it.
_FREE = 4
_TINY = 1e-30


def powers(ctx: LoweringContext, x: EncryptedTensor, p: float) -> EncryptedTensor:
    """Look up `|x|**p`, somewhat finer than activations are, as many are summed."""
    power = elementwise(ctx, lambda value: np.abs(value) ** p, x)
    return requantize(ctx, power, bits=bits_of(ctx) + 2)


def divided_by_power(
    ctx: LoweringContext,
    x: EncryptedTensor,
    p: float,
    axes: Sequence[int],
    inverse: Callable[[np.ndarray], np.ndarray],
) -> EncryptedTensor:
    """Multiply x by `inverse(sum(|x|**p))`, the sum taken along some axes.

    It takes two lookups for each element, of which the next operator's is not one, and one for
    each sum.
    """
    ctx = unhurried(ctx)
    total = _encrypted_power_sums(ctx, x, p, axes)
    return scaled(ctx, x, total, inverse, _power_sums(x, p, axes))


def _encrypted_power_sums(ctx, x, p, axes):
    power = powers(ctx, x, p)
    with roomier(ctx):
        return sum_(ctx, power, axes, keepdims=True)


def _power_sums(x, p, axes):
    real = np.abs(x.values().astype(np.float64)) ** p
    return real.sum(axis=tuple(axis + 1 for axis in axes), keepdims=True)


def encrypted_standardized(
    ctx: LoweringContext,
    x: EncryptedTensor,
    axes: Sequence[int],
    inverse: Callable[[np.ndarray], np.ndarray],
) -> tuple[EncryptedTensor, EncryptedTensor, EncryptedTensor]:
    """Normalize to zero mean along some axes and scale by a function of the variance.

    Parameters
    ----------
    axes : sequence of int
        Not negative.
    inverse : callable
        `inverse(variance)`, positive and falling.

    Returns
    -------
    tuple of EncryptedTensor
        The normalized tensor, the mean and `inverse(variance)`, both with axes of size 1.
    """
    ctx = unhurried(ctx)
    count = math.prod(x.shape[axis] for axis in axes)
    x = on_one_scale(ctx, x, axes)
    rest, mean = centred(ctx, x, axes)
    total = _encrypted_power_sums(ctx, rest, 2, axes)

    def of_total(value):
        # Rounding may have brought a sum of squares below zero.
        return inverse(np.maximum(value, 0) / np.asarray(count, dtype=value.dtype))

    totals = _power_sums(rest, 2, axes)
    return scaled(ctx, rest, total, of_total, totals), mean, elementwise(ctx, of_total, total)


def scaled(
    ctx: LoweringContext,
    x: EncryptedTensor,
    total: EncryptedTensor,
    inverse: Callable[[np.ndarray], np.ndarray],
    totals: np.ndarray,
) -> EncryptedTensor:
    """Multiply x by `inverse(total)`, which is not negative; total broadcasts to x.

    It takes a lookup for each element of x and of total, or none where the factor is the same
    for all calibration data within the accuracy of activations.

    Parameters
    ----------
    totals : array of shape (N, *S)
        What total would be on the calibration data if the elements of x were exact.
    """
    size, factor = np.broadcast_arrays(np.abs(x.values()), inverse(totals.astype(np.float64)))
    known = np.isfinite(size) & np.isfinite(factor)
    size, factor = np.maximum(size[known], _TINY), np.maximum(factor[known], _TINY)
    size, factor = np.log(size), np.log(factor)
    # Where x is zero the factor does not matter.
    some = np.minimum(size, factor) > math.log(_TINY)
    if not some.any():
        return elementwise(ctx, lambda value: value * 0, x)
    low, high = float(factor[some].min()), float(factor[some].max())
    if high - low < 2.0 ** -(bits_of(ctx) + 1):
        constant = math.exp((low + high) / 2)
        return elementwise(ctx, lambda value: value * constant, x)
    keep = ctx.bits.rounding_bits or bits_of(ctx) + 1
    powers = _Powers.best(size, factor, some, 2 ** (keep - 1) + 1)

    def code(value):
        return 2 * powers.of_element(np.abs(value)) + (value < 0)

    def shift(value):
        return 2 * powers.of_factor(inverse(value))

    codes = elementwise(ctx, code, x)
    codes = lookup(_finer(ctx, x), codes, Grid(1.0, 0.0, 2 * powers.elements))
    shifts = elementwise(ctx, shift, total)
    with roomier(ctx):
        wider = _WIDER if total.register.size * _FEW <= x.register.size else 1
        shifts = lookup(rounding_to(ctx, wider), shifts, Grid(1.0, 0.0, 2 * powers.factors - 1))
    shifts = broadcast_to(ctx, shifts, x.shape)
    # All sums have their place, also those that calibration has not seen, and the width is that
    # of other lookups. Rounding would lose the sign.
    interval = attrs.evolve(codes.register.interval, low=0, high=powers.highest)
    register = ctx.builder.emit(
        Opcode.ADD, [codes.register, shifts.register], interval=interval, packed=True
    )
    start, base = powers.smallest + powers.least, powers.base

    def decode(value):
        return (1 - 2 * np.mod(value, 2)) * np.exp(start + base * np.floor(value / 2))

    return elementwise(ctx, decode, EncryptedTensor.on_grid(register, 1.0, 0.0, x.dtype))


def _finer(ctx, x):
    """Keep one bit more of x, unless taking the others off a second time cost more than that."""
    keep = ctx.bits.rounding_bits
    exact = ctx.bits.rounding != "approximate"
    dear = exact and keep is not None and x.register.interval.width > keep + _FREE
    return ctx if dear else rounding_to(ctx, 1)


@attrs.frozen(slots=True)
class _Powers:
    """Elements and factors as powers of one base; all but counts are logarithms.

    Parameters
    ----------
    base : float
        The base.
    smallest, elements : float and int
        The smallest power that an element may be, and the number of powers from there on.
    least, factors : float and int
        The same for factors.
    """

    base: float
    smallest: float
    elements: int
    least: float
    factors: int

    @classmethod
    def best(cls, size: np.ndarray, factor: np.ndarray, some: np.ndarray, most: int) -> _Powers:
        """Choose what loses least of products of which both logarithms are given.

        There are `most` powers in all; `some` says where neither is zero. The smallest elements
        and the largest factors may be left out: those belong to rows so small that they hold
        little but rounding errors.
        """
        every = max(1, size.size // _SAMPLES)
        kept, by = size[::every], factor[::every]
        wanted = np.exp(kept + by)
        top, by_some = float(size.max()), factor[some]
        least = float(by_some.min())
        best = None
        for share in _LEFT_OUT:
            span = float(np.quantile(by_some, 1 - share)) - least
            for base in map(float, _BASES):
                # One power is room for factors beyond those of calibration.
                factors = math.ceil(span / base) + 2
                elements = most - factors
                if elements < 2:
                    continue
                tried = cls(base, top - (elements - 1) * base, elements, least, factors)
                error = float(np.square(tried.product(kept, by) - wanted).mean())
                if best is None or error < best[0]:
                    best = error, tried
        if best is None:
            base = float(np.ptp(by_some)) / max(most - 4, 1)
            return cls(base, top - base, 2, least, max(most - 2, 2))
        return best[1]

    @property
    def highest(self) -> int:
        """The largest sum of a code, with its sign, and a shift."""
        return 2 * (self.elements + self.factors) - 3

    def product(self, size: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Products after both are rounded to powers; logarithms in, numbers out."""
        element = np.clip(np.rint((size - self.smallest) / self.base), 0, self.elements - 1)
        by = np.clip(np.rint((factor - self.least) / self.base), 0, self.factors - 1)
        return np.exp(self.smallest + self.least + self.base * (element + by))

    def of_element(self, value: np.ndarray) -> np.ndarray:
        """Which power an absolute value is."""
        steps = np.rint((np.log(np.maximum(value, _TINY)) - self.smallest) / self.base)
        return np.clip(steps, 0, self.elements - 1)

    def of_factor(self, value: np.ndarray) -> np.ndarray:
        """Which power a factor is."""
        steps = np.rint((np.log(np.maximum(value, _TINY)) - self.least) / self.base)
        return np.clip(steps, 0, self.factors - 1)
