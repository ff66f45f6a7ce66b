"""Constant: a tensor that the model states in an attribute."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)

#: Element type of each way to state a value; None for tensors, which bring their own.
_DTYPES = {
    "value": None,
    "sparse_value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": object,
    "value_strings": object,
}


def constant(**attributes):
    stated = [name for name, value in attributes.items() if value is not None]
    if len(stated) != 1:
        expected = f"exactly one of {', '.join(_DTYPES)}"
        raise AttributeValueError("stated attributes", tuple(stated), expected)
    name = stated[0]
    return (np.asarray(attributes[name], dtype=_DTYPES[name]),)


@hookimpl
def cml_op():
    tensor = np.array([[1.0, -2.0]], dtype=np.float16)
    return OpPlugin(
        schema=OpSchema("Constant", since_versions=(1, 9, 11, 12, 13, 19, 21, 23, 24, 25)),
        numpy_op=constant,
        examples=(
            OpExample((), {"value": numpy_helper.from_array(tensor)}, (tensor,), encrypted=()),
            OpExample((), {"value_float": 0.5}, (np.float32(0.5),), encrypted=()),
            OpExample((), {"value_ints": (3, -1)}, (np.array([3, -1]),), encrypted=()),
        ),
    )
