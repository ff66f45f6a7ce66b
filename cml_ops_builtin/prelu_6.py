"""PRelu before opset 7: x where it is positive, slope * x elsewhere, with a slope per channel.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import math

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


def prelu_6(x, slope):
    return _prelu(x, slope.reshape(_along_channels(x.shape, slope.shape)))


def _prelu(x, slope):
    return (np.where(x < 0, slope * x, x),)


def _along_channels(x_shape, slope_shape):
    """Return the shape in which slopes broadcast to x, whose axis 1 counts channels."""
    if math.prod(slope_shape) == 1:
        return (1,) * len(x_shape)
    if slope_shape != x_shape[1:2]:
        expected = f"(1,), or a slope for each channel of x, whose shape is {x_shape}"
        raise AttributeValueError("slope's shape", slope_shape, expected)
    return (*slope_shape, *(1,) * (len(x_shape) - 2))


def quantized_prelu_6(ctx: LoweringContext, x, slope):
    aligned = reshaped(ctx, slope, _along_channels(x.shape, slope.shape))
    return ElementwiseQuantizedOp(_prelu)(ctx, x, aligned)


@hookimpl
def cml_op():
    # Four values, which two bits hold exactly: wide packed lookups take minutes to encrypt.
    x = np.array([[[-2.0, 1.0], [-1.0, 0.0]]], dtype=np.float32)
    slopes = np.array([0.5, 1.5], dtype=np.float32)
    result = np.array([[[-1.0, 1.0], [-1.5, 0.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("PRelu", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=prelu_6,
        quantized_op=quantized_prelu_6,
        examples=(
            OpExample((x, slopes), outputs=(result,), name="a slope per channel"),
            OpExample((x, slopes[:1]), name="one slope"),
            OpExample(
                (x, slopes),
                outputs=(result,),
                encrypted=(0, 1),
                tolerance=0.01,
                n_bits=2,
                name="both encrypted",
            ),
        ),
    )
