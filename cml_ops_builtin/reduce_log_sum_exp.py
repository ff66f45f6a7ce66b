"""ReduceLogSumExp: the logarithm of the sum of exponentials along axes given as an input.

Under encryption each element costs one lookup; the sum costs none, and the logarithm lives in the
decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import QuantizedWithInput, WithInput, examples_with_input
from cml_ops_builtin._shared.reductions import encrypted_log_exponential_sums, log_exponential_sums

reduce_log_sum_exp = WithInput(log_exponential_sums)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceLogSumExp", since_versions=(18, 28)),
        numpy_op=reduce_log_sum_exp,
        quantized_op=QuantizedWithInput(encrypted_log_exponential_sums),
        examples=examples_with_input(x, opset=18),
        tail=True,
    )
