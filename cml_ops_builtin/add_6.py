"""Add before opset 7: the sum of a tensor and one laid along its axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_core.plugin_api import add as add_encrypted
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)


def add(a, b):
    return (np.add(a, b),)


add_6 = WithLegacyBroadcasting(add)


@hookimpl
def cml_op():
    a = np.array([[-1.0, 0.5, 2.0], [1.0, -0.5, 0.25]], dtype=np.float32)
    b = np.array([0.5, -1.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Add", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=add_6,
        quantized_op=QuantizedWithLegacyBroadcasting(
            ElementwiseQuantizedOp(add, combine=add_encrypted)
        ),
        examples=legacy_examples(np.add, a, b),
    )
