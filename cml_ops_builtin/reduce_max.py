"""ReduceMax: the largest element along axes given as an input.

Under encryption n elements cost n - 1 lookups, and n more if they are not narrow integers
already.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import QuantizedWithInput, WithInput, examples_with_input
from cml_ops_builtin._shared.reductions import encrypted_largest, largest

reduce_max = WithInput(largest)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceMax", since_versions=(18, 20)),
        numpy_op=reduce_max,
        quantized_op=QuantizedWithInput(encrypted_largest),
        examples=examples_with_input(x),
        tail=True,
    )
