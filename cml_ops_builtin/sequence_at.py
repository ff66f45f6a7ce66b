"""SequenceAt: the tensor at a position of a sequence."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence, place_in


def sequence_at(input_sequence, position):
    tensors = as_sequence(input_sequence)
    return (tensors[place_in(position, len(tensors), most=len(tensors) - 1)],)


@hookimpl
def cml_op():
    x, y = np.array([1.0, 2.0], dtype=np.float32), np.array([[3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceAt", since_versions=(11,)),
        numpy_op=sequence_at,
        examples=(
            OpExample(((x, y), np.array(1)), {}, (y,), encrypted=()),
            OpExample(((x, y), np.array(-2)), {}, (x,), encrypted=(), name="from the end"),
        ),
    )
