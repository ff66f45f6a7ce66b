"""IsNaN: which elements are not a number.

Encrypted inputs are numbers; what is computed from them (Log of -1) need not be.
"""

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


def is_nan(x):
    return (np.isnan(x),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("IsNaN", since_versions=(9, 13, 20), kind=OpKind.ELEMENTWISE),
        numpy_op=is_nan,
        quantized_op=ElementwiseQuantizedOp(is_nan),
        examples=(OpExample((x,), tolerance=0.0),),
    )
