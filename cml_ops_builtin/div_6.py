"""Div before opset 7: the quotient of a tensor and one laid along its axes.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import ElementwiseQuantizedOp, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.division import check_divisor, quotient
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)


def div(a, b):
    check_divisor(b)
    return quotient(a, b)


div_6 = WithLegacyBroadcasting(div)


@hookimpl
def cml_op():
    a = np.array([[-2.0, 0.0, 2.0], [1.0, -1.0, 2.0]], dtype=np.float32)
    b = np.array([1.0, 4.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Div", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=div_6,
        quantized_op=QuantizedWithLegacyBroadcasting(ElementwiseQuantizedOp(quotient)),
        examples=legacy_examples(np.divide, a, b, both={"n_bits": 3}),
        restrictions="of two encrypted operands, wide ones are narrowed to the activation width",
    )
