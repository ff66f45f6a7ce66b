"""ReduceProd: the product of the elements along axes given as an input.

Under encryption n elements are multiplied in pairs, and these in pairs again: n - 1 products of
encrypted numbers, each of one or two lookups. Every product is rounded to the activation width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import QuantizedWithInput, WithInput
from cml_ops_builtin._shared.reductions import encrypted_products, products

reduce_prod = WithInput(products)


@hookimpl
def cml_op():
    x = np.array([[-1.5, 2.0], [0.5, -2.0], [1.0, 1.5], [-2.0, -1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceProd", since_versions=(18,)),
        numpy_op=reduce_prod,
        quantized_op=QuantizedWithInput(encrypted_products),
        examples=(
            OpExample((x, np.array([1])), name="one axis"),
            OpExample((x, np.array([-2])), {"keepdims": 0}, name="four factors", tolerance=0.2),
            OpExample(
                (x, np.array([], dtype=np.int64)), {"noop_with_empty_axes": 1}, name="no axes"
            ),
        ),
        restrictions="precise for a few elements only, as every product is rounded",
        tail=True,
    )
