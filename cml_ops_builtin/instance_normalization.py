"""InstanceNormalization: every channel of every instance to zero mean and unit variance.

Under encryption each element costs one lookup for its square and one for its logarithm, each
channel two for its mean and its deviation; what is normalized and scaled lives in the decode.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.encrypted_normalizing import encrypted_standardized
from cml_ops_builtin._shared.normalizing import (
    inverse_root,
    per_channel,
    scaled_per_channel,
    standardized_rows,
)


def instance_normalization(x, scale, bias, *, epsilon):
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    rows = wide.reshape(math.prod(x.shape[:2]), math.prod(x.shape[2:]))
    normalized = standardized_rows(rows, epsilon)[0].reshape(x.shape)
    return (scaled_per_channel(normalized, scale, bias).astype(x.dtype, copy=False),)


class QuantizedInstanceNormalization:
    """InstanceNormalization with clear scale and bias."""

    def __call__(self, ctx: LoweringContext, x, scale, bias, *, epsilon):
        if isinstance(scale, EncryptedTensor) or isinstance(bias, EncryptedTensor):
            ctx.refuse("its scale or bias is encrypted", "They must be constants of the model.")
        axes = tuple(range(2, x.ndim))
        y, _, _ = encrypted_standardized(ctx, x, axes, inverse_root(epsilon))
        parameters = (per_channel(p, x.ndim) for p in (scale, bias))
        return (elementwise(ctx, lambda value, s, b: value * s + b, y, *parameters),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, 6.0], [-1.0, 0.5, 3.0]]], dtype=np.float32)
    scale, bias = np.array([[1.0, -2.0], [0.0, 0.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("InstanceNormalization", since_versions=(6, 22)),
        numpy_op=instance_normalization,
        quantized_op=QuantizedInstanceNormalization(),
        tail=True,
        examples=(
            OpExample((x, scale, bias), tolerance=0.02, name="series"),
            OpExample(
                (x[..., np.newaxis], scale, bias), {"epsilon": 0.1}, tolerance=0.02, name="images"
            ),
            OpExample(
                (x[..., 1:] - 4 * x[:, :1, :1], scale, bias),
                n_bits=2,
                tolerance=0.02,
                name="two elements at two bits",
            ),
            OpExample((x, scale, bias), opset=17, tolerance=0.02, name="series, earlier revision"),
        ),
        restrictions="scale and bias must be clear",
    )
