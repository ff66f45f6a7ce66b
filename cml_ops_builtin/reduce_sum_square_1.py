"""ReduceSumSquare: the sum of the squares along axes given as an attribute.

Under encryption each element costs one lookup; the sum costs none.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_square_sums, square_sums

reduce_sum_square_1 = WithAttribute(square_sums)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceSumSquare", since_versions=(1, 11, 13)),
        numpy_op=reduce_sum_square_1,
        quantized_op=QuantizedWithAttribute(encrypted_square_sums),
        examples=examples_with_attribute(x),
        tail=True,
    )
