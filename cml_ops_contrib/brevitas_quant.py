"""Quant of Brevitas' own domain, which newer versions export in QONNX's."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.quant_nodes import quant_plugin


@hookimpl
def cml_op():
    x = np.array([[-1.5, -0.6, 0.25, 0.75, 9.0]], dtype=np.float32)
    return quant_plugin(
        "Quant",
        "onnx.brevitas",
        (
            OpExample(
                (x, np.float32(0.5), np.float32(0.0), np.float32(2.0)),
                {"narrow": 1},
                outputs=(np.float32([[-0.5, -0.5, 0.0, 0.5, 0.5]]),),
                tolerance=1e-6,
                n_bits=2,
            ),
        ),
    )
