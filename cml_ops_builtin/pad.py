"""Pad: elements added at both ends of axes, or removed where a pad is negative."""

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
from cml_ops_builtin._shared.padding import padded
from cml_ops_builtin._shared.positions import integers


def pad(x, pads, constant_value=None, axes=None, *, mode):
    axes = None if axes is None else integers(axes)
    return (padded(x, integers(pads), mode, constant_value, axes),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return OpPlugin(
        schema=OpSchema(
            "Pad", since_versions=(11, 13, 18, 19, 21, 23, 24, 25), kind=OpKind.MOVEMENT
        ),
        numpy_op=pad,
        quantized_op=MovementQuantizedOp(pad, moved=(0, 2)),
        examples=(
            OpExample((x, np.array([0, 1, 0, 2])), name="zeros"),
            OpExample((x, np.array([1, 0, 0, 1]), np.float32(-1.5)), opset=11, name="constant"),
            OpExample(
                (x, np.array([1, 2]), None, np.array([-1])), {"mode": "reflect"}, name="reflect"
            ),
            OpExample((x, np.array([0, 1, 1, 0])), {"mode": "edge"}, name="edge"),
            OpExample((x, np.array([0, 1, 1, 2])), {"mode": "wrap"}, name="wrap"),
            OpExample(
                (x, np.array([1, -1, 0, 0]), np.float32(9.0)),
                {},
                (np.array([[9.0, 9.0], [1.0, 2.0], [4.0, 5.0]], dtype=np.float32),),
                name="negative pad",
            ),
            OpExample(
                (x, np.array([0, 1, 0, 0]), x[1, 2]), encrypted=(0, 2), name="both encrypted"
            ),
        ),
        restrictions="the pads must be clear",
    )
