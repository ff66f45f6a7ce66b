"""SkipLayerNormalization: the sum of a tensor, a residual and a bias, with its rows normalized."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

from ._layer_normalization import layer_norm, write_layer_norm


def skip_layer_normalization(x, skip, gamma, beta=None, bias=None, *, epsilon):
    """Return the normalized sum, means, inverse standard deviations, and the sum itself."""
    total = x + skip if bias is None else x + skip + bias
    return (*layer_norm(total, gamma, beta, epsilon=epsilon), total)


def body(writer, x, skip, gamma, beta=None, bias=None, *, epsilon):
    """Write it as the sum and LayerNormalization."""
    total = writer.add("Add", x, skip)
    if bias is not None:
        total = writer.add("Add", total, bias)
    return write_layer_norm(writer, total, gamma, beta, epsilon=epsilon), "", "", total


@hookimpl
def cml_op():
    """SkipLayerNormalization of com.microsoft."""
    x = np.float32([[[1, -1, 3, 1], [0, 2, -2, 2]]])
    skip = np.float32([[[2, 2, -2, 2], [2, 0, 0, 0]]])
    gamma, beta = np.float32([1, 2, 1, 0.5]), np.float32([0, 1, 0, -1])
    # The sum is [[3, 1, 1, 3], [2, 2, -2, 2]].
    root = np.sqrt(3, dtype=np.float32)
    y = gamma * np.float32([[[1, -1, -1, 1], [1 / root, 1 / root, -root, 1 / root]]])
    return OpPlugin(
        schema=OpSchema(
            "SkipLayerNormalization",
            (1,),
            domain="com.microsoft",
            attribute_defaults={"epsilon": 1e-12},
        ),
        numpy_op=skip_layer_normalization,
        body=body,
        examples=(
            OpExample((x, skip, gamma), outputs=(y,), lookups=26, max_bits=6),
            OpExample(
                (x, skip[0], gamma, beta, np.float32([1, 1, 1, 1])),
                outputs=(y + beta,),
                lookups=26,
                max_bits=6,
                name="with biases",
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
