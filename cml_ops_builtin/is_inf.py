"""IsInf: which elements are infinite, in either direction or in one only.

Encrypted inputs are finite; what is computed from them (Log of 0) need not be.
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


def is_inf(x, *, detect_negative, detect_positive):
    negative = np.signbit(x)
    wanted = np.where(negative, bool(detect_negative), bool(detect_positive))
    return (np.isinf(x) & wanted,)


@hookimpl
def cml_op():
    x = np.array([[-2.0, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("IsInf", since_versions=(10, 20), kind=OpKind.ELEMENTWISE),
        numpy_op=is_inf,
        quantized_op=ElementwiseQuantizedOp(is_inf),
        examples=(
            OpExample((x,), tolerance=0.0),
            OpExample((x,), {"detect_negative": 0}, tolerance=0.0, name="positive only"),
            OpExample((x,), {"detect_positive": 0}, tolerance=0.0, name="negative only"),
        ),
    )
