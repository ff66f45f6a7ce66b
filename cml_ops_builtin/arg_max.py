"""ArgMax: where along an axis the largest element is.

Computed by the client after decryption if nothing encrypted follows. On the server, n elements
of b bits cost n - 1 lookups of b + 1 bits for the largest value, n - 1 of b bits for what equals
it, and n - 2 of 3 bits for the first of these; two or three elements are compared with each other.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.ordering import GRID_RESTRICTION, best_place, quantized_best_place


def arg_max(x, *, axis, keepdims, select_last_index=0):
    return (
        best_place(np.argmax, x, axis=axis, keepdims=keepdims, select_last_index=select_last_index),
    )


def quantized_arg_max(ctx: LoweringContext, x, *, axis, keepdims, select_last_index=0):
    place = quantized_best_place(
        ctx,
        x,
        axis=axis,
        keepdims=keepdims,
        select_last_index=select_last_index,
        smallest=False,
    )
    return (place,)


@hookimpl
def cml_op():
    x = np.array([[1.0, 3.0, 3.0], [2.0, -1.0, -1.0]], dtype=np.float32)
    row = np.array([[2, -3, 1, 2, -1]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("ArgMax", since_versions=(1, 11, 12, 13)),
        numpy_op=arg_max,
        quantized_op=quantized_arg_max,
        tail=True,
        examples=(
            OpExample(
                (x,), {"axis": 1, "keepdims": 0}, n_bits=3, tolerance=0.0, name="one for each row"
            ),
            OpExample(
                (x,),
                {"axis": -1, "select_last_index": 1},
                n_bits=3,
                tolerance=0.0,
                name="the last of equals",
            ),
            OpExample((x,), n_bits=3, tolerance=0.0, lookups=3, max_bits=4, name="first axis"),
            OpExample((row,), {"axis": 1}, n_bits=3, opset=11, tolerance=0.0, name="five integers"),
        ),
        restrictions=GRID_RESTRICTION,
    )
