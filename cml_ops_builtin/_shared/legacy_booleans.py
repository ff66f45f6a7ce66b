"""Operators on two booleans as they were before opset 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_core.plugin_api import ElementwiseQuantizedOp, OpKind, OpPlugin, OpSchema
from cml_ops_builtin._shared.booleans import combine_booleans
from cml_ops_builtin._shared.legacy_broadcasting import (
    QuantizedWithLegacyBroadcasting,
    WithLegacyBroadcasting,
    legacy_examples,
)

__all__ = ["legacy_boolean"]


def legacy_boolean(op_type: str, function: Callable[..., Any]) -> OpPlugin:
    """Make the plugin of an operator, such as `np.logical_and`, in its first revision."""

    def operator(a, b):
        return (function(a, b),)

    a, b = np.array([[False, True], [True, False]]), np.array([True, False])
    return OpPlugin(
        schema=OpSchema(op_type, since_versions=(1,), kind=OpKind.ELEMENTWISE),
        numpy_op=WithLegacyBroadcasting(operator),
        quantized_op=QuantizedWithLegacyBroadcasting(
            ElementwiseQuantizedOp(operator, combine=combine_booleans(function))
        ),
        examples=legacy_examples(function, a, b, tolerance=0.0),
    )
