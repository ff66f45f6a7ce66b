"""Equal before opset 7: where a tensor is equal to one laid along its axes.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.comparison import (
    EQUALITY_RESTRICTIONS,
    asks,
    combine_equal,
    quantized_comparison,
)
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    asks_aligned,
    legacy_examples,
)


def equal(a, b):
    return (np.asarray(np.equal(a, b)),)


equal_1 = WithLegacyBroadcasting(equal)


@hookimpl
def cml_op():
    a = np.array([[3, 0, 7], [0, 1, 5]], dtype=np.int32)
    b = np.array([7, 1], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Equal", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=equal_1,
        quantized_op=QuantizedWithLegacyBroadcasting(quantized_comparison(np.equal, combine_equal)),
        calibration_hook=asks_aligned(asks(np.equal)),
        examples=legacy_examples(np.equal, a, b, tolerance=0.0),
        restrictions=EQUALITY_RESTRICTIONS,
    )
