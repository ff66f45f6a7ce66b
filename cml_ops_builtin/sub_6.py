"""Sub before opset 7: the difference of a tensor and one laid along its axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    subtract,
)
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)


def sub(a, b):
    return (np.subtract(a, b),)


sub_6 = WithLegacyBroadcasting(sub)


@hookimpl
def cml_op():
    a = np.array([[-1.0, 0.5, 2.0], [1.0, -0.5, 0.25]], dtype=np.float32)
    b = np.array([0.5, -1.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Sub", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=sub_6,
        quantized_op=QuantizedWithLegacyBroadcasting(ElementwiseQuantizedOp(sub, combine=subtract)),
        examples=legacy_examples(np.subtract, a, b),
    )
