"""HannWindow: raised cosine, zero where it begins."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.window_functions import cosine_window


def hann_window(size, **attributes):
    return (cosine_window(size, (0.5, -0.5), **attributes),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("HannWindow", since_versions=(17,)),
        numpy_op=hann_window,
        examples=(
            OpExample((np.int64(6),), encrypted=(), name="periodic"),
            OpExample((np.int32(5),), {"periodic": 0}, encrypted=(), name="symmetric"),
            OpExample(
                (np.int64(4),), {"output_datatype": 11}, encrypted=(), name="double precision"
            ),
        ),
    )
