"""ConcatFromSequence: the tensors of a sequence joined along an axis, an old one or a new one."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence


def concat_from_sequence(input_sequence, *, axis, new_axis):
    tensors = as_sequence(input_sequence)
    if not tensors:
        raise AttributeValueError("input_sequence", "empty", "at least one tensor")
    rank = tensors[0].ndim + bool(new_axis)
    if not -rank <= axis < rank:
        raise AttributeValueError("axis", axis, f"from {-rank} to {rank - 1}")
    return (np.stack(tensors, axis) if new_axis else np.concatenate(tensors, axis),)


@hookimpl
def cml_op():
    x, y = np.array([[1.0, 2.0]], dtype=np.float32), np.array([[3.0, 4.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ConcatFromSequence", since_versions=(11,)),
        numpy_op=concat_from_sequence,
        examples=(
            OpExample(
                ((x, y),), {"axis": 1}, (np.array([[1, 2, 3, 4]], np.float32),), encrypted=()
            ),
            OpExample(
                ((x, y),),
                {"axis": -1, "new_axis": 1},
                (np.array([[[1, 3], [2, 4]]], np.float32),),
                encrypted=(),
                name="along a new axis",
            ),
        ),
    )
