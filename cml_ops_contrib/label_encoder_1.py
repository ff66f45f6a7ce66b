"""LabelEncoder of ai.onnx.ml 1: strings to their places in a list, or places to strings.

In float only, as one side is strings; places become strings on the client.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.lookup_table import Table


def label_encoder_1(x, *, classes_strings, default_int64, default_string):
    # The last of equal strings counts here.
    classes = np.array(classes_strings or (), dtype=object)[::-1]
    places = np.arange(len(classes))[::-1]
    if x.dtype.kind == "O":
        return (Table(classes, places, default_int64).checked(x),)
    return (Table(places, classes, default_string).checked(x),)


@hookimpl
def cml_op():
    classes = {"classes_strings": ["a", "b", "c"]}
    return OpPlugin(
        schema=OpSchema(
            "LabelEncoder", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=label_encoder_1,
        tail=True,
        examples=(
            OpExample(
                (np.array([["c", "x", "a"]], dtype=object),),
                classes,
                (np.array([[2, -1, 0]]),),
                encrypted=(),
                name="strings to places",
            ),
            OpExample(
                (np.array([1, 7]),),
                {**classes, "default_string": "?"},
                (np.array(["b", "?"], dtype=object),),
                encrypted=(),
                name="places to strings",
            ),
        ),
        restrictions="in float only: after decryption, or before encryption",
    )
