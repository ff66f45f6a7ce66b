"""Greater before opset 7: where a tensor is greater than one laid along its axes.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.comparison import ORDER_RESTRICTIONS, asks, quantized_comparison
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    asks_aligned,
    legacy_examples,
)


def greater(a, b):
    return (np.asarray(np.greater(a, b)),)


greater_1 = WithLegacyBroadcasting(greater)


@hookimpl
def cml_op():
    a = np.array([[-1.0, 0.5, 2.0], [1.0, -0.5, 0.25]], dtype=np.float32)
    b = np.array([1.25, -0.25], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Greater", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=greater_1,
        quantized_op=QuantizedWithLegacyBroadcasting(quantized_comparison(np.greater)),
        calibration_hook=asks_aligned(asks(np.greater)),
        examples=legacy_examples(np.greater, a, b, tolerance=0.0),
        restrictions=ORDER_RESTRICTIONS,
    )
