"""Xor before opset 7: the exclusive disjunction of a boolean tensor and one laid along its axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.booleans import combine_booleans
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)


def xor(a, b):
    return (np.logical_xor(a, b),)


xor_1 = WithLegacyBroadcasting(xor)


@hookimpl
def cml_op():
    a = np.array([[False, True], [True, False]])
    b = np.array([True, False])
    return OpPlugin(
        schema=OpSchema("Xor", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=xor_1,
        quantized_op=QuantizedWithLegacyBroadcasting(
            ElementwiseQuantizedOp(xor, combine=combine_booleans(np.logical_xor))
        ),
        examples=legacy_examples(np.logical_xor, a, b, tolerance=0.0),
    )
