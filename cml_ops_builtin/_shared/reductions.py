"""What reductions do along given axes: in float, `(x, axes, keepdims)`, and on encrypted integers.

The quantized forms sum without a lookup; what is done to the elements before the sum costs one
lookup for each, and what is done to the sum lives in its decode.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    add,
    elementwise,
    maximum,
    minimum,
    multiply,
    reshape,
    subtract,
    sum_,
)
from cml_ops_builtin._shared.extremes import extreme, halving, pairwise
from cml_ops_builtin._shared.half_precision import chosen_in_single
from cml_ops_builtin._shared.leveling import bits_of, on_one_scale, on_steps, step_of

#: Bits that the smallest sum of exponentials must have beside the largest.
_LEAST_BITS = 2


def _wide(x):
    """Half precision is reduced in single precision; integers wrap around in their own."""
    return np.result_type(x.dtype, np.float32) if x.dtype.kind not in "iub" else x.dtype


def _real(x):
    """Return the numbers to compute logarithms and roots of."""
    return x.astype(np.float64 if x.dtype.kind in "iu" else _wide(x), copy=False)


def sums(x, axes, keepdims):
    return np.sum(x, axis=axes, keepdims=keepdims, dtype=_wide(x)).astype(x.dtype, copy=False)


def means(x, axes, keepdims):
    total = np.sum(x, axis=axes, keepdims=keepdims, dtype=_wide(x))
    count = math.prod(x.shape[axis] for axis in axes)
    return np.true_divide(total, np.asarray(count, dtype=total.dtype)).astype(x.dtype, copy=False)


def products(x, axes, keepdims):
    return np.prod(x, axis=axes, keepdims=keepdims, dtype=_wide(x)).astype(x.dtype, copy=False)


def largest(x, axes, keepdims):
    least = _bounds(x.dtype)[0]
    return chosen_in_single(lambda v: np.max(v, axis=axes, keepdims=keepdims, initial=least), x)


def smallest(x, axes, keepdims):
    most = _bounds(x.dtype)[1]
    return chosen_in_single(lambda v: np.min(v, axis=axes, keepdims=keepdims, initial=most), x)


def _bounds(dtype):
    """The least and the greatest number of a type, which nothing is beyond."""
    if dtype.kind == "b":
        return False, True
    if dtype.kind in "iu":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return -np.inf, np.inf


def absolute_sums(x, axes, keepdims):
    return sums(np.abs(x), axes, keepdims)


def square_sums(x, axes, keepdims):
    return sums(np.square(x.astype(_wide(x), copy=False)), axes, keepdims).astype(x.dtype)


def norms(x, axes, keepdims):
    return np.sqrt(square_sums(_real(x), axes, keepdims)).astype(x.dtype)


def log_sums(x, axes, keepdims):
    return np.log(sums(_real(x), axes, keepdims)).astype(x.dtype)


def log_exponential_sums(x, axes, keepdims):
    real = _real(x)
    # exp(x - top) cannot overflow.
    top = largest(real, axes, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros((), dtype=real.dtype))
    total = np.log(sums(np.exp(real - top), axes, keepdims=True)) + top
    return (total if keepdims else total.squeeze(axes)).astype(x.dtype)


def encrypted_sums(ctx, x, axes, keepdims):
    return sum_(ctx, x, axes, keepdims=keepdims)


def encrypted_means(ctx, x, axes, keepdims):
    count = math.prod(x.shape[axis] for axis in axes)

    def divide(total):
        return _like(x, np.true_divide(total, np.asarray(count, dtype=total.dtype)))

    return elementwise(ctx, divide, sum_(ctx, x, axes, keepdims=keepdims))


def encrypted_largest(ctx, x, axes, keepdims):
    return extreme(ctx, x, halving(x.shape, axes, keepdims=keepdims), maximum)


def encrypted_smallest(ctx, x, axes, keepdims):
    return extreme(ctx, x, halving(x.shape, axes, keepdims=keepdims), minimum)


def encrypted_products(ctx, x, axes, keepdims):
    return pairwise(ctx, x, halving(x.shape, axes, keepdims=keepdims), multiply)


def encrypted_absolute_sums(ctx, x, axes, keepdims):
    return sum_(ctx, elementwise(ctx, np.abs, x), axes, keepdims=keepdims)


def encrypted_square_sums(ctx, x, axes, keepdims):
    return sum_(ctx, elementwise(ctx, np.square, x), axes, keepdims=keepdims)


def encrypted_norms(ctx, x, axes, keepdims):
    def root(total):
        # Rounding may have brought a sum of squares below zero.
        return _like(x, np.sqrt(np.maximum(total, np.zeros((), dtype=total.dtype))))

    return elementwise(ctx, root, encrypted_square_sums(ctx, x, axes, keepdims))


def encrypted_log_sums(ctx, x, axes, keepdims):
    total = sum_(ctx, x, axes, keepdims=keepdims)
    return elementwise(ctx, lambda value: _like(x, np.log(value)), total)


def encrypted_log_exponential_sums(ctx, x, axes, keepdims):
    """One lookup for each element; where sums differ too much for that, relative to the largest."""
    if not axes or not x.register.size:
        return _log_exponential_sums(ctx, x, axes, keepdims)
    known = log_exponential_sums(
        x.values().astype(np.float64), tuple(axis + 1 for axis in axes), keepdims=True
    )
    if known.max() - known.min() <= (bits_of(ctx) - _LEAST_BITS) * math.log(2):
        return _log_exponential_sums(ctx, x, axes, keepdims)
    own = on_one_scale(ctx, x, axes)
    top = extreme(ctx, own, halving(x.shape, axes), maximum)
    top = on_steps(ctx, top, step_of(own))
    rest = _log_exponential_sums(ctx, subtract(ctx, own, top), axes, True)
    result = add(ctx, top, rest)
    shape = log_exponential_sums(np.zeros(x.shape), axes, keepdims).shape
    return elementwise(ctx, lambda value: _like(x, value), reshape(ctx, result, shape))


def _log_exponential_sums(ctx, x, axes, keepdims):
    # With the calibrated maximum as the unit, exp cannot overflow and its largest value is 1.
    top = np.asarray(ctx.value_range(x)[1], dtype=x.dtype)
    powers = elementwise(ctx, lambda value: np.exp(value - top), x)
    total = sum_(ctx, powers, axes, keepdims=keepdims)
    return elementwise(ctx, lambda value: _like(x, np.log(value) + top), total)


def _like(x, value):
    """Bring a value to the type of x if that is a type of integers; floats stay as wide as is."""
    return value.astype(x.dtype) if x.dtype.kind in "iu" else value
