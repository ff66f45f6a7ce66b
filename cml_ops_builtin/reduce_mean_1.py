"""ReduceMean: the mean of the elements along axes given as an attribute.

Under encryption it is a sum, which costs no lookup; the division lives in the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_means, means

reduce_mean_1 = WithAttribute(means)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceMean", since_versions=(1, 11, 13), kind=OpKind.LINEAR),
        numpy_op=reduce_mean_1,
        quantized_op=QuantizedWithAttribute(encrypted_means),
        examples=examples_with_attribute(x),
    )
