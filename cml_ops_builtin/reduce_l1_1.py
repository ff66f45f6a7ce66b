"""ReduceL1: the sum of the absolute values along axes given as an attribute.

Under encryption each element costs one lookup, unless none is negative; the sum costs none.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import absolute_sums, encrypted_absolute_sums

reduce_l1_1 = WithAttribute(absolute_sums)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceL1", since_versions=(1, 11, 13)),
        numpy_op=reduce_l1_1,
        quantized_op=QuantizedWithAttribute(encrypted_absolute_sums),
        examples=examples_with_attribute(x),
        tail=True,
    )
