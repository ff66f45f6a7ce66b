"""Optional: a value that may be there, or one that is not, which is None."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def optional(value=None, *, type=None):
    if value is None and type is None:
        raise ValueError("without an input, the attribute type must say what is left out")
    return (value,)


@hookimpl
def cml_op():
    x = np.array([1.0, 2.0], dtype=np.float32)
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    return OpPlugin(
        schema=OpSchema("Optional", since_versions=(15, 28)),
        numpy_op=optional,
        examples=(
            OpExample((x,), {}, (x,), encrypted=(), name="there"),
            OpExample((), {"type": kind}, (None,), encrypted=(), name="not there"),
        ),
    )
