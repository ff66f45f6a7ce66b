"""GlobalLpPool: the p-norm of every channel over all spatial axes, (sum |x|^p)^(1/p).

Under encryption each element costs one lookup for its power; the sum costs none, and the root
lives in the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    sum_,
)
from cml_ops_builtin._shared.encrypted_normalizing import powers
from cml_ops_builtin._shared.normalizing import checked_power, root


def global_lp_pool(x, *, p):
    wide = np.abs(x).astype(np.result_type(x.dtype, np.float32), copy=False)
    total = np.sum(wide ** checked_power(p), axis=tuple(range(2, x.ndim)), keepdims=True)
    return (root(total, p).astype(x.dtype, copy=False),)


class QuantizedGlobalLpPool:
    """GlobalLpPool as a sum of powers."""

    def __call__(self, ctx: LoweringContext, x, *, p):
        power = powers(ctx, x, checked_power(p))
        total = sum_(ctx, power, tuple(range(2, x.ndim)), keepdims=True)
        return (elementwise(ctx, lambda value: root(value, p), total),)


@hookimpl
def cml_op():
    x = np.array([[[[3.0, -4.0], [0.0, 0.0]], [[0.5, 0.5], [-0.5, 0.5]]]], dtype=np.float32)
    norms = np.array([[[[5.0]], [[1.0]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GlobalLpPool", since_versions=(2, 22)),
        numpy_op=global_lp_pool,
        quantized_op=QuantizedGlobalLpPool(),
        tail=True,
        examples=(
            OpExample((x,), outputs=(norms,), tolerance=0.02, name="Euclidean norm"),
            OpExample(
                (x,),
                outputs=(norms,),
                opset=7,
                tolerance=0.02,
                name="Euclidean norm, first revision",
            ),
            OpExample(
                (x,),
                {"p": 1},
                outputs=(np.array([[[[7.0]], [[2.0]]]], dtype=np.float32),),
                tolerance=0.04,
                name="sum of absolute values",
            ),
        ),
    )
