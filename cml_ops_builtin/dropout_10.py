"""Dropout as of opset 10: the data as they are, and a mask of boolean ones."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl


def dropout_10(data, *, ratio):
    return data, np.ones(data.shape, dtype=np.bool_)


def quantized_dropout_10(ctx, data, *, ratio):
    return dropout_10(data, ratio=ratio)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Dropout", since_versions=(10,), kind=OpKind.ELEMENTWISE),
        numpy_op=dropout_10,
        quantized_op=quantized_dropout_10,
        examples=(
            OpExample((x,), outputs=(x,), tolerance=0.05, name="data alone"),
            OpExample(
                (x,),
                {"ratio": 0.25},
                (x, np.ones(x.shape, dtype=np.bool_)),
                n_outputs=2,
                tolerance=0.05,
                name="data and mask",
            ),
        ),
    )
