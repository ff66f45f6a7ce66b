"""TopK before opset 10: the largest elements along an axis, as many as an attribute says.

Under encryption it costs what the newer TopK does.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.ordering import GRID_RESTRICTION, quantized_top, top_k_of


def top_k_1(x, *, k, axis):
    return top_k_of(x, k, axis=axis, largest=1)


def quantized_top_k_1(ctx: LoweringContext, x, *, k, axis):
    return quantized_top(ctx, x, k, axis=axis, largest=1)


@hookimpl
def cml_op():
    x = np.array([[2.0, -1.5, 0.5]], dtype=np.float32)
    values, places = np.array([[2.0, 0.5]], dtype=np.float32), np.array([[0, 2]])
    return OpPlugin(
        schema=OpSchema("TopK", since_versions=(1,)),
        numpy_op=top_k_1,
        quantized_op=quantized_top_k_1,
        tail=True,
        examples=(
            OpExample(
                (x,),
                {"k": 2},
                (values, places),
                n_bits=3,
                tolerance=0.05,
                n_outputs=2,
                name="two",
            ),
        ),
        restrictions=GRID_RESTRICTION,
    )
