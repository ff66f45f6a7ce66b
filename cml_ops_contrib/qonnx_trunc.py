"""Trunc of QONNX, revision 2: the result has a scale and limits of its own."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.trunc_nodes import trunc_plugin


@hookimpl
def cml_op():
    x = np.array([[-4.0, -1.5, 0.5, 1.0, 3.5]], dtype=np.float32)
    scale, zero = np.float32(0.5), np.float32(0.0)
    exact = {"tolerance": 1e-6, "n_bits": 4}
    return trunc_plugin(
        "qonnx.custom_op.general",
        (
            OpExample(
                (x, scale, zero, np.float32(4.0), np.float32(2.0), np.float32(2.0)),
                outputs=(np.float32([[-4.0, -2.0, 0.0, 0.0, 2.0]]),),
                name="the upper half of the bits",
                **exact,
            ),
            OpExample(
                (x, scale, zero, np.float32(4.0), np.float32(1.0), np.float32(3.0)),
                {"rounding_mode": "ROUND", "narrow": 1},
                outputs=(np.float32([[-3.0, -2.0, 0.0, 1.0, 3.0]]),),
                name="rounded, narrow",
                **exact,
            ),
        ),
    )
