"""Add: the sum of two tensors, with broadcasting."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_core.plugin_api import add as add_encrypted


def add(a, b):
    return (np.add(a, b),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Add", since_versions=(7, 13, 14), kind=OpKind.ELEMENTWISE),
        numpy_op=add,
        quantized_op=ElementwiseQuantizedOp(add, combine=add_encrypted),
        examples=(
            OpExample(
                (x, np.array([0.5, 0.25, -1.0], dtype=np.float32)), lookups=0, name="clear addend"
            ),
            OpExample(
                (x, np.array([[3.0, -1.0, 0.0]], dtype=np.float32)),
                encrypted=(0, 1),
                lookups=0,
                name="both encrypted",
            ),
        ),
    )
