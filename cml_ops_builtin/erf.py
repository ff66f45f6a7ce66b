"""Erf: the error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

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
from cml_ops_builtin._shared.erf import erf as error_function
from cml_ops_builtin._shared.precision import widened


def erf(x):
    real = x.astype(np.float32) if x.dtype.kind in "iu" else widened(x)
    return (error_function(real).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Erf", since_versions=(9, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=erf,
        quantized_op=ElementwiseQuantizedOp(erf),
        examples=(OpExample((x,), tolerance=0.05),),
    )
