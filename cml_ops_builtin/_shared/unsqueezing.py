"""Putting axes of size 1 in: what both forms of Unsqueeze do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_ops_builtin._shared.positions import several_axes

__all__ = ["with_axes"]


def with_axes(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Insert axes of size 1 where the result is to have them."""
    return np.expand_dims(x, several_axes(axes, x.ndim + len(axes)))
