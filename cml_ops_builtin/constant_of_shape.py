"""ConstantOfShape: a tensor of a given shape, filled with one value."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_builtin._shared.positions import integers


def constant_of_shape(shape, *, value):
    sizes = integers(shape)
    if min(sizes, default=0) < 0:
        raise AttributeValueError("input", sizes, "sizes of 0 or more")
    value = np.zeros(1, dtype=np.float32) if value is None else value
    if value.size != 1:
        raise AttributeValueError("value", value.tolist(), "a tensor of one element")
    check_size(sizes, value.dtype)
    return (np.full(sizes, value.reshape(()), dtype=value.dtype),)


@hookimpl
def cml_op():
    seven = numpy_helper.from_array(np.array([7]))
    return OpPlugin(
        schema=OpSchema("ConstantOfShape", since_versions=(9, 20, 21, 23, 24, 25)),
        numpy_op=constant_of_shape,
        examples=(
            OpExample((np.array([2]),), {"value": seven}, encrypted=(), name="integers"),
            OpExample((np.array([2, 3]),), encrypted=(), name="zeros"),
            OpExample((np.array([], dtype=np.int64),), encrypted=(), name="a single number"),
        ),
        restrictions="the shape must be clear; what it makes is clear too",
    )
