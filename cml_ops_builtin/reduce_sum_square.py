"""ReduceSumSquare: the sum of the squares along axes given as an input.

Under encryption each element costs one lookup; the sum costs none.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import QuantizedWithInput, WithInput, examples_with_input
from cml_ops_builtin._shared.reductions import encrypted_square_sums, square_sums

reduce_sum_square = WithInput(square_sums)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceSumSquare", since_versions=(18,)),
        numpy_op=reduce_sum_square,
        quantized_op=QuantizedWithInput(encrypted_square_sums),
        examples=examples_with_input(x),
        tail=True,
    )
