"""GlobalLpPool: the p-norm of every channel over all spatial axes, (sum |x|^p)^(1/p)."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def global_lp_pool(x, *, p):
    wide = np.abs(x).astype(np.result_type(x.dtype, np.float32), copy=False)
    total = np.sum(wide**p, axis=tuple(range(2, x.ndim)), keepdims=True)
    return ((total ** (1.0 / p)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[[[3.0, -4.0], [0.0, 0.0]], [[2.0, 2.0], [-2.0, 2.0]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GlobalLpPool", since_versions=(2, 22)),
        numpy_op=global_lp_pool,
        examples=(
            OpExample(
                (x,),
                outputs=(np.array([[[[5.0]], [[4.0]]]], dtype=np.float32),),
                name="Euclidean norm",
            ),
            OpExample(
                (x,),
                {"p": 1},
                outputs=(np.array([[[[7.0]], [[8.0]]]], dtype=np.float32),),
                name="sum of absolute values",
            ),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
