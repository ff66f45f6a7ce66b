"""SequenceConstruct: tensors put into a sequence."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def sequence_construct(*tensors):
    if len({tensor.dtype for tensor in tensors}) > 1:
        kinds = ", ".join(str(tensor.dtype) for tensor in tensors)
        raise ValueError(f"the tensors of a sequence are of one dtype, and these are {kinds}")
    return (tensors,)


@hookimpl
def cml_op():
    x, y = np.array([1.0, 2.0], dtype=np.float32), np.array([[3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceConstruct", since_versions=(11,)),
        numpy_op=sequence_construct,
        examples=(OpExample((x, y), {}, ((x, y),), encrypted=()),),
    )
