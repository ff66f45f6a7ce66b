"""Random numbers: reproducible ones from a seed, fresh ones without.

They come from NumPy's `RandomState`, whose streams never change, as in the onnx package's
reference implementation.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, check_size
from cml_ops_builtin._shared.element_types import element_type

__all__ = ["generator", "normal", "real_type", "uniform"]

_SEEDS = 2**32


def generator(seed: float | None) -> np.random.RandomState:
    """Make a source of random numbers.

    Any number may be a seed: a whole one counts modulo 2 ** 32, another by the bits of its float32.
    """
    if seed is None:
        return np.random.RandomState()
    if isinstance(seed, int) or (np.isfinite(seed) and seed == int(seed)):
        return np.random.RandomState(int(seed) % _SEEDS)
    return np.random.RandomState(int(np.float32(seed).view(np.uint32)))


def real_type(dtype: int | None, like: np.ndarray | None = None) -> np.dtype:
    """Return the floating-point type that `dtype` asks for, or that of another tensor.

    Raises
    ------
    AttributeValueError
        It is of another kind.
    """
    wanted = like.dtype if dtype is None else element_type("dtype", dtype)
    if wanted.name not in ("float16", "float32", "float64", "bfloat16"):
        if dtype is None:
            raise AttributeValueError("type of the input", wanted.name, "real, without dtype")
        expected = "the number of a floating-point type: 1, 10, 11 or 16"
        raise AttributeValueError("dtype", dtype, expected)
    return wanted


def uniform(
    shape: tuple[int, ...], dtype: np.dtype, *, low: float, high: float, seed: float | None
) -> np.ndarray:
    """Numbers from `low` to `high`, all equally likely."""
    if not low <= high:
        raise AttributeValueError("low", low, f"at most high, {high}")
    drawn = generator(seed).random_sample(_checked(shape))
    return np.asarray(low + (high - low) * drawn, dtype=dtype)


def normal(
    shape: tuple[int, ...], dtype: np.dtype, *, mean: float, scale: float, seed: float | None
) -> np.ndarray:
    """Normally distributed numbers; `scale` is their standard deviation."""
    if not scale >= 0:
        raise AttributeValueError("scale", scale, "at least 0")
    drawn = generator(seed).standard_normal(_checked(shape))
    return np.asarray(mean + scale * drawn, dtype=dtype)


def _checked(shape):
    if any(size < 0 for size in shape):
        raise AttributeValueError("shape", shape, "sizes of at least 0")
    check_size(shape, np.float64)
    return shape
