"""And before opset 7: the conjunction of a boolean tensor and one laid along its axes."""

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


def and_(a, b):
    return (np.logical_and(a, b),)


and_1 = WithLegacyBroadcasting(and_)


@hookimpl
def cml_op():
    a = np.array([[False, True], [True, False]])
    b = np.array([True, False])
    return OpPlugin(
        schema=OpSchema("And", since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=and_1,
        quantized_op=QuantizedWithLegacyBroadcasting(
            ElementwiseQuantizedOp(and_, combine=combine_booleans(np.logical_and))
        ),
        examples=legacy_examples(np.logical_and, a, b, tolerance=0.0),
    )
