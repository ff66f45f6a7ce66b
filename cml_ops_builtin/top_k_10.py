"""TopK of opset 10: the k largest elements along an axis, and where they are.

Under encryption it costs what the newer TopK does.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.ordering import GRID_RESTRICTION, quantized_top, top_k_of


def top_k_10(x, k, *, axis):
    return top_k_of(x, k, axis=axis, largest=1)


def quantized_top_k_10(ctx: LoweringContext, x, k, *, axis):
    if isinstance(k, EncryptedTensor):
        ctx.refuse("k must be clear")
    return quantized_top(ctx, x, k, axis=axis, largest=1)


@hookimpl
def cml_op():
    x = np.array([[2.0, -1.5, 0.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("TopK", since_versions=(10,)),
        numpy_op=top_k_10,
        quantized_op=quantized_top_k_10,
        tail=True,
        examples=(
            OpExample((x, np.array([2])), n_bits=3, tolerance=0.05, n_outputs=2, name="two"),
            OpExample(
                (x.T, np.array([1])), {"axis": 0}, n_bits=3, tolerance=0.0, n_outputs=2, name="one"
            ),
        ),
        restrictions=f"k must be clear; {GRID_RESTRICTION}",
    )
