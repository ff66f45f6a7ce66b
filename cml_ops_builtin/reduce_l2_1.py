"""ReduceL2: the root of the sum of the squares along axes given as an attribute.

Under encryption each element costs one lookup; the sum costs none, and the root lives in the
decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
    examples_with_attribute,
)
from cml_ops_builtin._shared.reductions import encrypted_norms, norms

reduce_l2_1 = WithAttribute(norms)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceL2", since_versions=(1, 11, 13)),
        numpy_op=reduce_l2_1,
        quantized_op=QuantizedWithAttribute(encrypted_norms),
        examples=examples_with_attribute(x),
        tail=True,
    )
