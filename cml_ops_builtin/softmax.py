"""Softmax along an axis: exp(x) / sum(exp(x)).

Left to the client where nothing encrypted follows. Under encryption each element costs one
lookup for its exponential, each row one for the logarithm of the sum; exp(x - log(sum)) lives in
the decode. Rows of very different sizes cost up to two lookups more for each element.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.positions import one_axis
from cml_ops_builtin._shared.softmaxes import QuantizedAlong, encrypted_softmax, softmax_along


def softmax(x, *, axis):
    return softmax_along(x, axis=one_axis(axis, x.ndim))


@hookimpl
def cml_op():
    x = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Softmax", since_versions=(13,), kind=OpKind.CUSTOM),
        numpy_op=softmax,
        quantized_op=QuantizedAlong(encrypted_softmax),
        tail=True,
        examples=(
            OpExample((x,), tolerance=0.03, name="last axis"),
            OpExample((x.T,), {"axis": 0}, tolerance=0.03, name="first axis"),
            OpExample((x[:1, :2],), n_bits=2, tolerance=0.05, lookups=4, max_bits=2, name="two"),
            OpExample((x[:1] * [[1, 30, -1]],), encrypted=(0,), tolerance=0.03, name="far apart"),
            OpExample(
                (np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 500.0]], dtype=np.float32),),
                encrypted=(),
                name="larger than exp can take",
            ),
        ),
    )
