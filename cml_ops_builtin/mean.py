"""Mean: the mean of any number of tensors, element by element, with broadcasting.

Under encryption it is a sum, whose lookups (if any) bring operands onto one scale; the division
is free.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.variadic import fold_encrypted


def mean(*tensors):
    total = functools.reduce(np.add, map(widened, tensors))
    mean_of_all = total / np.asarray(len(tensors), dtype=total.dtype)
    return (mean_of_all.astype(tensors[0].dtype, copy=False),)


def mean_of_registers(ctx, *tensors):
    total = fold_encrypted(np.add, add)(ctx, *tensors)
    return elementwise(ctx, lambda value: value / len(tensors), total)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.5, -0.5, 0.25]], dtype=np.float32)
    z = np.array([[0.5], [1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Mean", since_versions=(6, 8, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=mean,
        quantized_op=ElementwiseQuantizedOp(mean, combine=mean_of_registers),
        examples=(
            OpExample((x,), name="one operand"),
            OpExample((x, y, z), outputs=((x + y + z) / 3,), name="clear operands"),
            OpExample((x, y), encrypted=(0, 1), name="both encrypted"),
            OpExample(
                (x, z, y),
                outputs=((x + z + y) / 3,),
                encrypted=(0, 2),
                name="two encrypted and one clear",
            ),
            OpExample((x, y, 2 * y), encrypted=(0, 1, 2), name="all encrypted"),
        ),
    )
