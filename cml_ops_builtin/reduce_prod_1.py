"""ReduceProd: the product of the elements along axes given as an attribute.

Under encryption n elements are multiplied in pairs, and these in pairs again: n - 1 products of
encrypted numbers, each of one or two lookups. Every product is rounded to the activation width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import (
    QuantizedWithAttribute,
    WithAttribute,
)
from cml_ops_builtin._shared.reductions import encrypted_products, products

reduce_prod_1 = WithAttribute(products)


@hookimpl
def cml_op():
    x = np.array([[-1.5, 2.0], [0.5, -2.0], [1.0, 1.5], [-2.0, -1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ReduceProd", since_versions=(1, 11, 13)),
        numpy_op=reduce_prod_1,
        quantized_op=QuantizedWithAttribute(encrypted_products),
        examples=(
            OpExample((x,), {"axes": [1]}, name="one axis"),
            OpExample((x[:2],), {"axes": [1]}, n_bits=3, tolerance=0.2, name="at three bits"),
            OpExample((x,), {"axes": [-2], "keepdims": 0}, name="four factors", tolerance=0.2),
        ),
        restrictions="precise for a few elements only, as every product is rounded",
        tail=True,
    )
