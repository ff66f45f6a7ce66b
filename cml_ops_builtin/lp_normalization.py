"""LpNormalization: the elements along an axis divided by their p-norm; zeros stay zeros."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl


def lp_normalization(x, *, axis, p):
    if p not in (1, 2):
        raise AttributeValueError("p", p, "1 or 2")
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    if p == 1:
        norm = np.abs(wide).sum(axis=axis, keepdims=True)
    else:
        norm = np.sqrt(np.square(wide).sum(axis=axis, keepdims=True))
    return (np.where(norm == 0, norm, wide / norm).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LpNormalization", since_versions=(1, 22)),
        numpy_op=lp_normalization,
        examples=(
            OpExample((x,), name="Euclidean norm"),
            OpExample(
                (x,),
                {"p": 1},
                outputs=(np.array([[3 / 7, 4 / 7], [0.0, 0.0], [-0.25, 0.75]], dtype=np.float32),),
                name="sum of absolute values",
            ),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
