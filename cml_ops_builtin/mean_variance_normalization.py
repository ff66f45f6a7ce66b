"""MeanVarianceNormalization: (x - mean) / deviation over some axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.reduce import which_axes
from cml_ops_builtin._shared.reductions import means


def mean_variance_normalization(x, *, axes):
    axes = which_axes(x.ndim, axes)
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    centred = wide - means(wide, axes, keepdims=True)
    deviation = np.sqrt(means(np.square(centred), axes, keepdims=True))
    # The specification adds this much to the deviation, so that nothing is divided by zero.
    y = centred / (deviation + np.asarray(1e-9, dtype=wide.dtype))
    return (y.astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[[[1.0, 2.0], [4.0, 0.5]], [[-1.0, 3.0], [2.0, 2.5]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("MeanVarianceNormalization", since_versions=(9, 13)),
        numpy_op=mean_variance_normalization,
        examples=(
            OpExample((x,), name="every channel"),
            OpExample((x,), {"axes": [1, -1]}, name="other axes"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
