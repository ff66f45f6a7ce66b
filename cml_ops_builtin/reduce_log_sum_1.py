"""ReduceLogSum: the logarithm of the sum of the elements along axes given as an attribute.

Under encryption it costs no lookup; the logarithm lives in the decode of the sum.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_log_sums, log_sums

reduce_log_sum_1 = WithAttribute(log_sums)


@hookimpl
def cml_op():
    x = np.array([[[1.5, 2.0], [0.5, 3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceLogSum", since_versions=(1, 11, 13)),
        numpy_op=reduce_log_sum_1,
        quantized_op=QuantizedWithAttribute(encrypted_log_sums),
        examples=examples_with_attribute(x),
        tail=True,
    )
