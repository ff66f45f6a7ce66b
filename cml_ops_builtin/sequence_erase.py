"""SequenceErase: a sequence without the tensor at a position, by default the last."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence, place_in


def sequence_erase(input_sequence, position=None):
    tensors = as_sequence(input_sequence)
    position = np.array(-1) if position is None else position
    place = place_in(position, len(tensors), most=len(tensors) - 1)
    return ((*tensors[:place], *tensors[place + 1 :]),)


@hookimpl
def cml_op():
    x, y = np.array([1.0, 2.0], dtype=np.float32), np.array([[3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceErase", since_versions=(11,)),
        numpy_op=sequence_erase,
        examples=(
            OpExample(((x, y),), {}, ((x,),), encrypted=(), name="the last"),
            OpExample(((x, y), np.array(0)), {}, ((y,),), encrypted=(), name="the first"),
        ),
    )
