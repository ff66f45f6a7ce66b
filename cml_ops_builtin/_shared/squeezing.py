"""Taking axes of size 1 away: what both forms of Squeeze do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.positions import one_axis

__all__ = ["without_axes"]


def without_axes(x: np.ndarray, axes: Iterable[int] | None) -> np.ndarray:
    """Remove axes of size 1; all of them if none is named."""
    if axes is None:
        return x.reshape([size for size in x.shape if size != 1])
    axes = tuple(axes)
    gone = {one_axis(axis, x.ndim, "axes") for axis in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise AttributeValueError("axes", axes, f"axes of size 1; the shape is {x.shape}")
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in gone])
