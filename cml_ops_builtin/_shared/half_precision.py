"""Maxima and minima of half-precision arrays, found in single precision."""

from __future__ import annotations

import numpy as np

__all__ = ["chosen_in_single"]

#: Below this many elements NumPy's own loops are as fast.
_FEW = 1024


def chosen_in_single(choose, x):
    """Return `choose(x)`, where choose gives elements of x or infinities, by their order alone.

    NumPy's loops for float16 and bfloat16 convert every operand of every comparison. Here x is
    converted once, and the result, which is exact, back. Which NaN and which zero is chosen
    depends on the loop: where there is such a choice, that of the half-precision one stays.
    """
    if x.size < _FEW or not (x.dtype == np.float16 or x.dtype.name == "bfloat16"):
        return choose(x)
    y = choose(x.astype(np.float32))
    if np.isnan(y).any() or (not np.all(y) and (x.view(np.int16) == -(2**15)).any()):
        return choose(x)
    return y.astype(x.dtype)
