"""LpPool: the p-norm of every window, (sum |x|^p)^(1/p)."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.windows import place_windows, window_sums


def lp_pool(x, *, p, ceil_mode=0, dilations=None, **attributes):
    windows = place_windows(x.shape[2:], ceil_mode=ceil_mode, dilations=dilations, **attributes)
    wide = np.abs(x).astype(np.result_type(x.dtype, np.float32), copy=False)
    total = window_sums(wide**p, windows)
    return ((total ** (1.0 / p)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 2, 5)).astype(np.float32)
    image = rng.normal(size=(1, 1, 3, 4)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("LpPool", since_versions=(2, 11, 18, 22)),
        numpy_op=lp_pool,
        examples=(
            OpExample((x,), {"kernel_shape": [2]}, name="Euclidean norm"),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "p": 1, "strides": [2, 1], "pads": [1, 0, 0, 1]},
                name="sum of absolute values, padded",
            ),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
