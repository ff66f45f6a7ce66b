"""TopK: the k largest or smallest elements along an axis, and where they are.

Always sorted, which `sorted = 0` leaves open. Computed by the client after decryption if nothing
encrypted follows. On the server each of the k rounds costs what ArgMax does; where that is
cheaper, all pairs of elements are compared once.
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


def top_k(x, k, *, axis, largest, sorted):
    return top_k_of(x, k, axis=axis, largest=largest)


def quantized_top_k(ctx: LoweringContext, x, k, *, axis, largest, sorted):
    if isinstance(k, EncryptedTensor):
        ctx.refuse("k must be clear")
    return quantized_top(ctx, x, k, axis=axis, largest=largest)


@hookimpl
def cml_op():
    x = np.array([[2.0, -1.5, 2.0, 0.5]], dtype=np.float32)
    whole = np.array([[2, -3, 1], [0, 4, 4]], dtype=np.int64)
    one, two, three = np.array([1]), np.array([2]), np.array([3])
    return OpPlugin(
        schema=OpSchema("TopK", since_versions=(11, 24)),
        numpy_op=top_k,
        quantized_op=quantized_top_k,
        tail=True,
        examples=(
            OpExample((x, two), n_bits=3, tolerance=0.05, n_outputs=2, name="the larger half"),
            OpExample(
                (whole, three),
                {"largest": 0},
                n_bits=3,
                tolerance=0.0,
                n_outputs=2,
                opset=11,
                name="all in rising order",
            ),
            OpExample(
                (whole, one),
                {"axis": 0, "sorted": 0},
                n_bits=3,
                tolerance=0.0,
                n_outputs=2,
                name="of each column",
            ),
        ),
        restrictions=f"k must be clear; {GRID_RESTRICTION}",
    )
