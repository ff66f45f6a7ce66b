"""DFT before opset 20: the axis is an attribute; see `_shared/fourier.py`."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.fourier import transform, transform_encrypted


def dft(x, dft_length=None, **attributes):
    return (transform(x, dft_length, **attributes),)


def quantized_dft(ctx: LoweringContext, x, dft_length=None, **attributes):
    if isinstance(dft_length, EncryptedTensor):
        ctx.refuse("dft_length must be clear")
    return (transform_encrypted(ctx, x, dft_length, **attributes),)


@hookimpl
def cml_op():
    x = np.array([[[3.0], [-7.0], [1.0], [8.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("DFT", since_versions=(17,), kind=OpKind.LINEAR),
        numpy_op=dft,
        quantized_op=quantized_dft,
        examples=(
            OpExample((x,), {"onesided": 1}, tolerance=0.01, lookups=0, name="one-sided"),
            OpExample(
                (np.concatenate([x, x[:, ::-1]], axis=2), np.int64(2)),
                {"axis": -2, "inverse": 1},
                tolerance=0.01,
                name="inverse",
            ),
        ),
        restrictions="dft_length must be clear",
    )
