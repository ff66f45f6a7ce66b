"""BipolarQuant of Brevitas' own domain, which newer versions export in QONNX's."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, hookimpl
from cml_ops_contrib._shared.quant_nodes import bipolar_plugin


@hookimpl
def cml_op():
    x = np.array([[-1.5, -0.25, 0.0, 0.5]], dtype=np.float32)
    return bipolar_plugin(
        "onnx.brevitas",
        (
            OpExample(
                (x, np.float32(0.5)),
                outputs=(np.float32([[-0.5, -0.5, 0.5, 0.5]]),),
                tolerance=1e-6,
                n_bits=3,
                lookups=0,
            ),
        ),
    )
