"""Hardmax along an axis: 1 for the first of the largest elements, 0 for the others.

Computed by the client after decryption if nothing encrypted follows. On the server it costs the
lookups of ArgMax.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.ordering import GRID_RESTRICTION, quantized_hardmax
from cml_ops_builtin._shared.positions import one_axis
from cml_ops_builtin._shared.softmaxes import hardmax_along


def hardmax(x, *, axis):
    return hardmax_along(x, axis=one_axis(axis, x.ndim))


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Hardmax", since_versions=(13,)),
        numpy_op=hardmax,
        quantized_op=quantized_hardmax,
        tail=True,
        examples=(
            OpExample((x,), n_bits=3, tolerance=0.0, name="last axis"),
            OpExample((x,), {"axis": 1}, n_bits=3, tolerance=0.0, name="another axis"),
        ),
        restrictions=GRID_RESTRICTION,
    )
