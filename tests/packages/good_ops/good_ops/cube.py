"""Cube: scale * x^3.

Under encryption it composes onto its input's decode and costs nothing by itself.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, elementwise, hookimpl


def cube(x, *, scale):
    return (np.asarray(scale, dtype=x.dtype) * x**3,)


def remember_largest(recorder, inputs, outputs, attributes):
    """Keep the largest magnitude, beyond which the cube would soon be too large for its range."""
    largest = float(np.abs(inputs[0]).max(initial=0.0))
    recorder.notes["largest"] = max(largest, recorder.notes.get("largest", 0.0))


def quantized_cube(ctx, x, *, scale):
    largest = ctx.notes["largest"]
    return (elementwise(ctx, lambda value: scale * np.clip(value, -largest, largest) ** 3, x),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema(
            "Cube",
            since_versions=(1,),
            kind=OpKind.ELEMENTWISE,
            domain="example.org",
            attribute_defaults={"scale": 1.0},
        ),
        numpy_op=cube,
        quantized_op=quantized_cube,
        calibration_hook=remember_largest,
        examples=(
            OpExample((x,), outputs=(x**3,)),
            OpExample((x,), {"scale": -0.5}, (-0.5 * x**3,), name="scaled"),
        ),
    )
