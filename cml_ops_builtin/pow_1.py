"""Pow before opset 7: a tensor to the power of one laid along its axes.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import ElementwiseQuantizedOp, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)
from cml_ops_builtin._shared.precision import widened


def pow_(x, y):
    return (np.power(widened(x), widened(y)).astype(x.dtype, copy=False),)


pow_1 = WithLegacyBroadcasting(pow_)


@hookimpl
def cml_op():
    # Four values each, which two bits hold exactly: wide packed lookups take minutes.
    x = np.array([[0.5, 1.0, 1.5], [2.0, 0.5, 1.0]], dtype=np.float32)
    y = np.array([2.0, 3.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Pow", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=pow_1,
        quantized_op=QuantizedWithLegacyBroadcasting(ElementwiseQuantizedOp(pow_)),
        examples=legacy_examples(np.power, x, y, tolerance=0.01, both={"n_bits": 2}),
    )
