"""Softmax along an axis: exp(x) / sum(exp(x)). Computed by the client after decryption."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.softmaxes import softmax_along


def softmax(x, *, axis):
    return softmax_along(x, axis=axis)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Softmax", since_versions=(13,), kind=OpKind.CUSTOM),
        numpy_op=softmax,
        tail=True,
        examples=(OpExample((np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 500.0]], dtype=np.float32),)),),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
