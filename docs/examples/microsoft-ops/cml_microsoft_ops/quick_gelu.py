"""QuickGelu: x * sigmoid(alpha * x)."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def quick_gelu(x, *, alpha):
    """Return x weighted by a logistic function; with `alpha=1` it is SiLU."""
    return ((x * expit(alpha * x)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    """QuickGelu of com.microsoft."""
    x = np.float32([[-3, -1, 0, 0.5, 2]])
    y = np.float32([[-0.01807129, -0.15420422, 0, 0.35038841, 1.93565857]])
    silu = np.float32([[-0.14227762, -0.26894142, 0, 0.31122967, 1.76159416]])
    return OpPlugin(
        schema=OpSchema(
            "QuickGelu",
            (1,),
            OpKind.ELEMENTWISE,
            domain="com.microsoft",
            attribute_defaults={"alpha": 1.702},
        ),
        numpy_op=quick_gelu,
        quantized_op=ElementwiseQuantizedOp(quick_gelu),
        examples=(
            OpExample((x,), outputs=(y,), lookups=5, max_bits=4),
            OpExample((x,), {"alpha": 1.0}, (silu,), lookups=5, max_bits=4, name="SiLU"),
        ),
    )
