"""PRelu: x where it is positive, slope * x elsewhere; the slope broadcasts to x.

A slope of one axis that does not broadcast, but has as many elements as axis 1 of x, is taken to be
one for each channel. ONNX had it so before opset 7, and onnx's version converter leaves it so.
With both encrypted, they are packed into one lookup, as wide as both together.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.matrices import reshaped


def prelu(x, slope):
    (result,) = _prelu(x, slope.reshape(_aligned(x.shape, slope.shape)))
    if result.shape != x.shape:
        raise AttributeValueError(
            "slope's shape", slope.shape, f"one that broadcasts to x's shape {x.shape}"
        )
    return (result,)


def _aligned(x_shape, slope_shape):
    """Return the shape in which the slope broadcasts to x."""
    if len(slope_shape) != 1 or len(x_shape) < 2 or slope_shape[0] in (1, x_shape[-1]):
        return slope_shape
    per_channel = slope_shape[0] == x_shape[1]
    return (*slope_shape, *(1,) * (len(x_shape) - 2)) if per_channel else slope_shape


def _prelu(x, slope):
    return (np.where(x < 0, slope * x, x),)


def quantized_prelu(ctx: LoweringContext, x, slope):
    slope = reshaped(ctx, slope, _aligned(x.shape, slope.shape))
    return ElementwiseQuantizedOp(_prelu)(ctx, x, slope)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    slope = np.array([0.25, 2.0, 1.0, -1.0], dtype=np.float32)
    # Four values each, which two bits hold exactly: wide packed lookups take minutes to encrypt.
    coarse = np.array([[-2.0, -1.0, 0.0, 1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("PRelu", since_versions=(7, 9, 16), kind=OpKind.ELEMENTWISE),
        numpy_op=prelu,
        quantized_op=quantized_prelu,
        examples=(
            OpExample((x, slope), name="slope per element"),
            OpExample((x, slope[:1]), name="one slope"),
            OpExample(
                (coarse.reshape(1, 2, 2)[..., [0, 1, 0]], slope[:2]),
                outputs=(np.float32([[[-0.5, -0.25, -0.5], [0.0, 1.0, 0.0]]]),),
                name="a slope per channel, as before opset 7",
            ),
            OpExample(
                (coarse, np.array([[0.5, 1.5, 0.0, 1.0]], dtype=np.float32)),
                encrypted=(0, 1),
                tolerance=0.01,
                n_bits=2,
                name="both encrypted",
            ),
        ),
    )
