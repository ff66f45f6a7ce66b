"""What Loop and Scan share: outputs that grow by one element in each iteration."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["gathered", "is_true"]


def gathered(elements, spec, axis=0):
    """Stack the elements of all iterations along a new axis.

    Without any, what the graph declares of its output is all there is to know: sizes that are
    left open are 0, and there is one more axis, of size 0.

    Parameters
    ----------
    elements : list of array
        One for each iteration.
    spec : TensorSpec
        The output of the graph that they are.
    axis : int
        Where the new axis stands.
    """
    if elements:
        if len({element.shape for element in elements}) > 1:
            shapes = sorted({element.shape for element in elements})
            raise AttributeValueError("body", shapes, f"output {spec.name!r} of a single shape")
        return np.stack(elements, axis)
    shape = [size if isinstance(size, int) else 0 for size in spec.shape or ()]
    rank = len(shape) + 1
    if not -rank <= axis < rank:
        raise AttributeValueError("scan_output_axes", axis, f"from {-rank} to {rank - 1}")
    shape.insert(axis % rank, 0)
    return np.zeros(shape, dtype=np.float32 if spec.dtype is None else spec.dtype)


def is_true(name, condition):
    """Return a condition, a tensor of one element, as a bool."""
    if np.size(condition) != 1:
        raise ValueError(f"{name} has shape {np.shape(condition)}, expected one boolean")
    return bool(np.reshape(condition, ()))
