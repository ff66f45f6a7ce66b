"""Trunc of QONNX, revision 1: the result has the scale of the input, as after a mean."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.trunc_nodes import trunc_plugin_1


@hookimpl
def cml_op():
    x = np.array([[-4.0, -1.5, 0.5, 1.0, 3.5]], dtype=np.float32)
    return trunc_plugin_1(
        "qonnx.custom_op.general",
        (
            OpExample(
                (x, np.float32(0.5), np.float32(0.0), np.float32(4.0), np.float32(2.0)),
                outputs=(np.float32([[-1.0, -0.5, 0.0, 0.0, 0.5]]),),
                tolerance=1e-6,
                n_bits=4,
            ),
        ),
    )
