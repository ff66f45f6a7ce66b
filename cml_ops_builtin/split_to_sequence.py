"""SplitToSequence: a tensor cut along an axis into the tensors of a sequence."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl


def split_to_sequence(x, split=None, *, axis, keepdims):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"from {-x.ndim} to {x.ndim - 1}")
    size = x.shape[axis]
    if split is None:
        parts = np.split(x, np.arange(1, size), axis) if size else []
        # Only where parts have a single element may their axis be left out.
        return (tuple(parts if keepdims else (np.squeeze(part, axis) for part in parts)),)
    if split.ndim == 0:
        if split < 1:
            raise AttributeValueError("split", int(split), "at least 1")
        ends = np.arange(int(split), size, int(split))
        return (tuple(np.split(x, ends, axis)) if size else (),)
    if split.ndim > 1 or np.any(split < 0) or split.sum() != size:
        raise AttributeValueError("split", split.tolist(), f"sizes that add up to {size}")
    return (tuple(np.split(x, np.cumsum(split)[:-1], axis)),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    return OpPlugin(
        schema=OpSchema("SplitToSequence", since_versions=(11, 24)),
        numpy_op=split_to_sequence,
        examples=(
            OpExample((x,), {"keepdims": 0}, ((x[0], x[1], x[2]),), encrypted=(), name="rows"),
            OpExample(
                (x, np.array(2)), {}, ((x[:2], x[2:]),), encrypted=(), name="two by two, and a rest"
            ),
            OpExample(
                (x, np.array([0, 2])),
                {"axis": 1},
                ((x[:, :0], x),),
                encrypted=(),
                name="sizes along the last axis",
            ),
        ),
    )
