"""Not: the opposite of each boolean."""

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


def not_(x):
    return (np.logical_not(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Not", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=not_,
        quantized_op=ElementwiseQuantizedOp(not_),
        examples=(OpExample((np.array([[True, False, False, True]]),), opset=13, tolerance=0.0),),
    )
