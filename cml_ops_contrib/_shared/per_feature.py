"""Attributes that hold one value for all features or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor, LoweringContext, elementwise

__all__ = ["laid_out", "of_dtype"]


def laid_out(name: str, values: Sequence[Any], x: Any, dtype: Any) -> np.ndarray:
    """Values in a shape that broadcasts to x, whose features are on its last axis.

    Raises
    ------
    AttributeValueError
        There is neither one value nor one for each feature.
    """
    if x.ndim not in (1, 2):
        raise AttributeValueError("rank of X", x.ndim, "1 or 2")
    array = np.asarray(values, dtype=dtype)
    if array.size not in (1, x.shape[-1]):
        expected = f"1, or one for each of {x.shape[-1]} features"
        raise AttributeValueError(f"number of {name}", array.size, expected)
    return array.reshape(()) if array.size == 1 else array


def of_dtype(dtype: Any, ctx: LoweringContext, function: Any, *tensors: Any) -> EncryptedTensor:
    """Apply an elementwise function whose float reference gives a dtype.

    Encrypted tensors stand for float64 values anyhow: nothing is rounded to that dtype.
    """
    return attrs.evolve(elementwise(ctx, function, *tensors), dtype=np.dtype(dtype))
