"""The older revisions of Softmax and its kin, which see their input as a matrix."""

from __future__ import annotations

import functools
import math

from cml_core.plugin_api import AttributeValueError

__all__ = ["on_matrix"]


def on_matrix(operator):
    """Make `operator(x, *, axis)` work on all axes from `axis` on, as if they were one."""

    @functools.wraps(operator)
    def flattened(x, *, axis):
        if not -x.ndim <= axis < x.ndim:
            raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
        axis = axis + x.ndim if axis < 0 else axis
        matrix = x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
        return tuple(result.reshape(x.shape) for result in operator(matrix, axis=1))

    return flattened
