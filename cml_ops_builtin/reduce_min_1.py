"""ReduceMin: the smallest element along axes given as an attribute.

Under encryption n elements cost n - 1 lookups, and n more if they are not narrow integers
already.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_smallest, smallest

reduce_min_1 = WithAttribute(smallest)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceMin", since_versions=(1, 11, 12, 13)),
        numpy_op=reduce_min_1,
        quantized_op=QuantizedWithAttribute(encrypted_smallest),
        examples=examples_with_attribute(x),
        tail=True,
    )
