"""GlobalAveragePool: the mean of every channel over all spatial axes.

Under encryption it is a sum, which costs no lookup; the division lives in the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.reductions import encrypted_means, means


def global_average_pool(x):
    return (means(x, tuple(range(2, x.ndim)), keepdims=True),)


class QuantizedGlobalAveragePool:
    """GlobalAveragePool as a sum and a division."""

    def __call__(self, ctx: LoweringContext, x):
        return (encrypted_means(ctx, x, tuple(range(2, x.ndim)), keepdims=True),)


@hookimpl
def cml_op():
    x = np.array([[[[-2.0, 1.5], [0.0, -3.0]], [[2.5, 4.0], [-1.0, 0.5]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GlobalAveragePool", since_versions=(1, 22), kind=OpKind.LINEAR),
        numpy_op=global_average_pool,
        quantized_op=QuantizedGlobalAveragePool(),
        examples=(OpExample((x,), name="images"), OpExample((x[:, :, 0],), name="series")),
    )
