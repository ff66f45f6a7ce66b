"""Half-precision floats, computed with in float32."""

from __future__ import annotations

import numpy as np

__all__ = ["widened"]


def widened(x: np.ndarray) -> np.ndarray:
    """Return float16 and bfloat16 arrays in float32, others as they are.

    A formula of several steps would round (and overflow) at each of them in half precision.
    bfloat16 is not one of NumPy's own dtypes, so it is known by its name.
    """
    return x.astype(np.float32) if x.dtype.name in {"float16", "bfloat16"} else x
