"""SkipSimplifiedLayerNormalization: the sum of tensors, each row over its root mean square."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

from ._layer_normalization import rms_norm, write_rms_norm


def skip_simplified_layer_normalization(x, skip, gamma, bias=None, *, epsilon):
    """Return the normalized sum, nothing, the inverse root mean squares, and the sum itself."""
    total = x + skip if bias is None else x + skip + bias
    y, inverse = rms_norm(total, gamma, epsilon=epsilon)
    return y, None, inverse, total


def body(writer, x, skip, gamma, bias=None, *, epsilon):
    """Write it as the sum and RMSNormalization."""
    total = writer.add("Add", x, skip)
    if bias is not None:
        total = writer.add("Add", total, bias)
    return write_rms_norm(writer, total, gamma, epsilon=epsilon), "", "", total


@hookimpl
def cml_op():
    """SkipSimplifiedLayerNormalization of com.microsoft."""
    x = np.float32([[[1, -1, 3, 1], [0, 2, -2, 2]]])
    skip = np.float32([[[2, 2, -2, 2], [2, 0, 0, 0]]])
    gamma, bias = np.float32([1, 2, 1, 0.5]), np.float32([0, 0, 0, 1])
    root = np.sqrt(5, dtype=np.float32)
    y = np.float32([[[3 / root, 2 / root, 1 / root, 1.5 / root], [1, 2, -1, 0.5]]])
    return OpPlugin(
        schema=OpSchema(
            "SkipSimplifiedLayerNormalization",
            (1,),
            domain="com.microsoft",
            attribute_defaults={"epsilon": 1e-12},
        ),
        numpy_op=skip_simplified_layer_normalization,
        body=body,
        examples=(
            OpExample((x, skip, gamma), outputs=(y,), lookups=26, max_bits=5),
            OpExample(
                (x, skip - bias, gamma, bias),
                outputs=(y,),
                lookups=26,
                max_bits=5,
                name="with a bias",
            ),
            OpExample(
                (x, skip, gamma),
                outputs=(y,),
                encrypted=(0, 1),
                lookups=26,
                max_bits=6,
                name="both encrypted",
            ),
        ),
        restrictions="the outputs mean and inv_std_var are float only",
    )
