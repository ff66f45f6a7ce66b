"""Sum: the sum of any number of tensors, with broadcasting.

Under encryption lookups are needed only where the scales of operands have no common measure.
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
    hookimpl,
)
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.variadic import fold_encrypted


def sum_(*tensors):
    total = functools.reduce(np.add, map(widened, tensors))
    return (total.astype(tensors[0].dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.5, -0.5, 0.25]], dtype=np.float32)
    z = np.array([[0.5], [1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Sum", since_versions=(6, 8, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=sum_,
        quantized_op=ElementwiseQuantizedOp(sum_, combine=fold_encrypted(np.add, add)),
        examples=(
            OpExample((x,), name="one operand"),
            OpExample((x, y, z), name="clear operands"),
            OpExample((x, y), encrypted=(0, 1), name="both encrypted"),
            OpExample((x, z, y), encrypted=(0, 2), name="two encrypted and one clear"),
            OpExample((x, y, 2 * y), encrypted=(0, 1, 2), name="all encrypted"),
        ),
    )
