"""Dropout as of opset 6, in a model that says it is used for testing: the data as they are.

The mask, which is then not filled, is of ones.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def dropout_6(data, *, is_test, ratio):
    if not is_test and ratio != 0.0:
        expected = "1, as a model in training drops elements at random"
        raise AttributeValueError("is_test", is_test, expected)
    return data, np.ones(data.shape, dtype=data.dtype)


def quantized_dropout_6(ctx, data, *, is_test, ratio):
    return dropout_6(data, is_test=is_test, ratio=ratio)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Dropout", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=dropout_6,
        quantized_op=quantized_dropout_6,
        examples=(
            OpExample((x,), {"is_test": 1}, (x,), tolerance=0.05, name="data alone"),
            OpExample(
                (x,),
                {"is_test": 1, "ratio": 0.25},
                (x, np.ones(x.shape, dtype=x.dtype)),
                n_outputs=2,
                tolerance=0.05,
                name="data and mask",
            ),
            OpExample((x,), {"ratio": 0.0}, (x,), tolerance=0.05, name="nothing to drop"),
        ),
        restrictions="not in training mode, unless the ratio is 0",
    )
