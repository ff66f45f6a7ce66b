"""Or before opset 7: the disjunction of a boolean tensor and one laid along its axes."""

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


def or_(a, b):
    return (np.logical_or(a, b),)


or_1 = WithLegacyBroadcasting(or_)


@hookimpl
def cml_op():
    a = np.array([[False, True], [True, False]])
    b = np.array([True, False])
    return OpPlugin(
        schema=OpSchema("Or", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=or_1,
        quantized_op=QuantizedWithLegacyBroadcasting(
            ElementwiseQuantizedOp(or_, combine=combine_booleans(np.logical_or))
        ),
        examples=legacy_examples(np.logical_or, a, b, tolerance=0.0),
    )
