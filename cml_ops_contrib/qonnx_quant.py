"""Quant of QONNX: y = (clip(round(x / scale + zeropt)) - zeropt) * scale."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.quant_nodes import quant_plugin


@hookimpl
def cml_op():
    x = np.array([[-1.5, -0.6, -0.25, 0.25, 0.75, 9.0]], dtype=np.float32)
    images = np.array([[[[0.5, -1.0]], [[1.0, 2.25]]]], dtype=np.float32)
    scale, zero = np.float32(0.5), np.float32(0.0)
    per_channel = np.array([0.5, 1.0], dtype=np.float32).reshape(1, 2, 1, 1)
    exact = {"tolerance": 1e-6, "n_bits": 2}

    def bits(number):
        return np.float32(number)

    return quant_plugin(
        "Quant",
        "qonnx.custom_op.general",
        (
            OpExample(
                (x, scale, zero, bits(3)),
                outputs=(np.float32([[-1.5, -0.5, 0.0, 0.0, 1.0, 1.5]]),),
                name="an input on the model's own grid",
                lookups=0,
                **exact,
            ),
            OpExample(
                (x, scale, np.float32(2.0), bits(2)),
                {"signed": 0, "narrow": 1},
                outputs=(np.float32([[-1.0, -0.5, 0.0, 0.0, 0.0, 0.0]]),),
                name="unsigned and narrow, with a zero point",
                **exact,
            ),
            OpExample(
                (images, per_channel, zero, bits(4)),
                {"narrow": 1},
                outputs=(np.float32([[[[0.5, -1.0]], [[1.0, 2.0]]]]),),
                name="a scale for each channel",
                tolerance=0.2,
                n_bits=4,
            ),
            OpExample(
                (images, per_channel, zero, np.array([2, 3]).reshape(1, 2, 1, 1)),
                {"rounding_mode": "ceil"},
                outputs=(np.float32([[[[0.5, -1.0]], [[1.0, 3.0]]]]),),
                encrypted=(),
                name="a width for each channel, rounded up",
            ),
            OpExample(
                (x, scale, zero, bits(4)),
                {"rounding_mode": "HALF_UP"},
                outputs=(np.float32([[-1.5, -0.5, -0.5, 0.5, 1.0, 3.5]]),),
                encrypted=(),
                name="halves away from zero",
            ),
            OpExample(
                (x, scale, zero, bits(1)),
                outputs=(np.float32([[-0.5, -0.5, -0.5, 0.5, 0.5, 0.5]]),),
                name="one signed bit: signs",
                **exact,
            ),
        ),
    )
