"""CategoryMapper: strings to integers, or integers to strings.

In float only, as one side is strings; integers become strings on the client.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.lookup_table import Table


def category_mapper(x, *, cats_int64s, cats_strings, default_int64, default_string):
    # The last of equal keys counts.
    integers = np.array(cats_int64s or (), dtype=np.int64)[::-1]
    strings = np.array(cats_strings or (), dtype=object)[::-1]
    if x.dtype.kind == "O":
        return (Table(strings, integers, default_int64).checked(x),)
    return (Table(integers, strings, default_string).checked(x),)


@hookimpl
def cml_op():
    categories = {"cats_int64s": [5, 3], "cats_strings": ["cat", "dog"]}
    return OpPlugin(
        schema=OpSchema(
            "CategoryMapper", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=category_mapper,
        tail=True,
        examples=(
            OpExample(
                (np.array([["dog", "cow"]], dtype=object),),
                categories,
                (np.array([[3, -1]]),),
                encrypted=(),
                name="strings to integers",
            ),
            OpExample(
                (np.array([5, 4]),),
                categories,
                (np.array(["cat", "_Unused"], dtype=object),),
                encrypted=(),
                name="integers to strings",
            ),
        ),
        restrictions="in float only: after decryption, or before encryption",
    )
