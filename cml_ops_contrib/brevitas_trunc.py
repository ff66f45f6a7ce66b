"""Trunc of Brevitas' own domain: revision 1 of QONNX's."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.trunc_nodes import trunc_plugin_1


@hookimpl
def cml_op():
    x = np.array([[-4.0, -1.5, 0.5, 1.0, 3.5]], dtype=np.float32)
    return trunc_plugin_1(
        "onnx.brevitas",
        (
            OpExample(
                (x, np.float32(0.5), np.float32(0.0), np.float32(4.0), np.float32(2.0)),
                outputs=(np.float32([[-1.0, -0.5, 0.0, 0.0, 0.5]]),),
                tolerance=1e-6,
                n_bits=4,
            ),
        ),
    )
