"""DFT: the discrete Fourier transform along an axis that is an input; see `_shared/fourier.py`."""

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
from cml_ops_builtin._shared.positions import one_integer


def _along(axis):
    return -2 if axis is None else one_integer("axis", axis)


def dft(x, dft_length=None, axis=None, **attributes):
    return (transform(x, dft_length, _along(axis), **attributes),)


def quantized_dft(ctx: LoweringContext, x, dft_length=None, axis=None, **attributes):
    if isinstance(dft_length, EncryptedTensor) or isinstance(axis, EncryptedTensor):
        ctx.refuse("dft_length and axis must be clear")
    return (transform_encrypted(ctx, x, dft_length, _along(axis), **attributes),)


@hookimpl
def cml_op():
    x = np.array([[[3.0], [-7.0], [1.0], [8.0]]], dtype=np.float32)
    spectrum = np.array([[[3.0, 0.0], [-7.0, 5.0], [8.0, 0.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("DFT", since_versions=(20,), kind=OpKind.LINEAR),
        numpy_op=dft,
        quantized_op=quantized_dft,
        examples=(
            OpExample((x,), tolerance=0.01, lookups=0, name="four real numbers"),
            OpExample((x, None, np.int64(1)), {"onesided": 1}, tolerance=0.01, name="one-sided"),
            OpExample(
                (spectrum, np.int64(4), np.int64(-2)),
                {"inverse": 1, "onesided": 1},
                tolerance=0.01,
                name="one-sided, inverse",
            ),
            OpExample(
                (np.concatenate([x, x[:, ::-1]], axis=2), np.int64(3), np.int64(1)),
                {"inverse": 1},
                tolerance=0.1,
                lookups=0,
                name="inverse of the first three numbers",
            ),
            OpExample(
                (spectrum[0][np.newaxis], np.int64(2), np.int64(0)),
                tolerance=0.01,
                name="first axis, padded",
            ),
        ),
        restrictions="dft_length and axis must be clear",
    )
