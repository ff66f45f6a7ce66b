"""Mul before opset 7: the product of a tensor and one laid along its axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    multiply,
)
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)


def mul(a, b):
    return (np.multiply(a, b),)


mul_6 = WithLegacyBroadcasting(mul)


@hookimpl
def cml_op():
    a = np.array([[-1.0, 0.5, 2.0], [1.0, -0.5, 0.25]], dtype=np.float32)
    b = np.array([0.5, -1.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Mul", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=mul_6,
        quantized_op=QuantizedWithLegacyBroadcasting(ElementwiseQuantizedOp(mul, combine=multiply)),
        examples=legacy_examples(np.multiply, a, b, both={"tolerance": 0.15}),
    )
