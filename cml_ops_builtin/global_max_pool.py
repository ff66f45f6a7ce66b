"""GlobalMaxPool: the largest element of every channel.

Under encryption one lookup for each element but one of a channel, and one more for each element
if they are not narrow integers already.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    maximum,
)
from cml_ops_builtin._shared.extremes import extreme, halving
from cml_ops_builtin._shared.half_precision import chosen_in_single


def global_max_pool(x):
    axes = tuple(range(2, x.ndim))
    return (chosen_in_single(lambda v: v.max(axis=axes, keepdims=True), x),)


class QuantizedGlobalMaxPool:
    """GlobalMaxPool as a tree of pairwise maxima."""

    def __call__(self, ctx: LoweringContext, x):
        axes = tuple(range(2, x.ndim))
        return (extreme(ctx, x, halving(x.shape, axes), maximum),)


@hookimpl
def cml_op():
    x = np.array([[[[-2.0, 1.5], [0.0, -3.0]], [[2.5, 4.0], [-1.0, 0.5]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GlobalMaxPool", since_versions=(1, 22)),
        numpy_op=global_max_pool,
        quantized_op=QuantizedGlobalMaxPool(),
        examples=(
            OpExample((x,), name="images"),
            OpExample(
                (x[:, :, 0],),
                outputs=(np.array([[[1.5], [4.0]]], dtype=np.float32),),
                name="series",
            ),
        ),
    )
