"""Binarizer: one where an element is above a threshold, zero elsewhere.

Under encryption it costs nothing: it composes onto the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.lookup_table import propose_cuts


def binarizer(x, *, threshold):
    return ((x > threshold).astype(x.dtype),)


def propose_threshold(recorder, inputs, outputs, attributes):
    propose_cuts(recorder, inputs[0], np.array([attributes["threshold"]]))


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema(
            "Binarizer", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=binarizer,
        quantized_op=ElementwiseQuantizedOp(binarizer),
        calibration_hook=propose_threshold,
        examples=(
            OpExample((x,), tolerance=0.0, lookups=0, name="above zero"),
            OpExample((x,), {"threshold": 1.5}, tolerance=0.0, n_bits=2, name="above a threshold"),
            OpExample(
                (np.array([-3, 2, 5]),),
                {"threshold": 2.0},
                (np.array([0, 0, 1]),),
                tolerance=0.0,
                name="integers",
            ),
        ),
    )
