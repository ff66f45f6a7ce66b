"""SequenceInsert: a sequence with a tensor more, at a position or at the end."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence, place_in


def sequence_insert(input_sequence, tensor, position=None):
    tensors = as_sequence(input_sequence)
    if tensors and tensors[0].dtype != tensor.dtype:
        raise ValueError(
            f"a tensor of {tensor.dtype} cannot be inserted into a sequence of {tensors[0].dtype}"
        )
    place = len(tensors)
    if position is not None:
        place = place_in(position, len(tensors), most=len(tensors))
    return ((*tensors[:place], tensor, *tensors[place:]),)


@hookimpl
def cml_op():
    x, y = np.array([1.0, 2.0], dtype=np.float32), np.array([[3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceInsert", since_versions=(11,)),
        numpy_op=sequence_insert,
        examples=(
            OpExample(((x, x), y), {}, ((x, x, y),), encrypted=(), name="at the end"),
            OpExample(((x, x), y, np.array(-1)), {}, ((x, y, x),), encrypted=(), name="before it"),
        ),
    )
