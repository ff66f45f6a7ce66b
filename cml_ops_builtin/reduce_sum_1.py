"""ReduceSum: the sum of the elements along axes given as an attribute.

Under encryption it costs no lookup; the sum of n elements is about log2(n) bits wider than they
are.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_sums, sums

reduce_sum_1 = WithAttribute(sums)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceSum", since_versions=(1, 11), kind=OpKind.LINEAR),
        numpy_op=reduce_sum_1,
        quantized_op=QuantizedWithAttribute(encrypted_sums),
        examples=examples_with_attribute(x),
    )
