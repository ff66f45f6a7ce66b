"""Slice before opset 10: a part of a tensor, its starts and ends given by attributes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.slicing import sliced


def slice_1(x, *, starts, ends, axes):
    return (sliced(x, starts, ends, axes),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    return OpPlugin(
        schema=OpSchema("Slice", since_versions=(1,), kind=OpKind.MOVEMENT),
        numpy_op=slice_1,
        quantized_op=MovementQuantizedOp(slice_1),
        examples=(
            OpExample((x,), {"starts": (1, 0), "ends": (3, -1)}, (x[1:3, :-1],), opset=7),
            OpExample(
                (x,),
                {"starts": (-3,), "ends": (1000,), "axes": (1,)},
                (x[:, -3:],),
                opset=9,
                name="to the end of one axis",
            ),
        ),
    )
