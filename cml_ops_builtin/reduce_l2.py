"""ReduceL2: the root of the sum of the squares along axes given as an input.

Under encryption each element costs one lookup; the sum costs none, and the root lives in the
decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import QuantizedWithInput, WithInput, examples_with_input
from cml_ops_builtin._shared.reductions import encrypted_norms, norms

reduce_l2 = WithInput(norms)


@hookimpl
def cml_op():
    x = np.array([[[-1.5, 2.0], [0.5, -3.0], [1.0, 2.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceL2", since_versions=(18,)),
        numpy_op=reduce_l2,
        quantized_op=QuantizedWithInput(encrypted_norms),
        examples=examples_with_input(x),
        tail=True,
    )
