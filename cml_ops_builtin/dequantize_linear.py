"""DequantizeLinear: y = (x - x_zero_point) * x_scale.

The scale and the zero point are those of the whole tensor, of an axis, or of blocks along it.
Under encryption it costs nothing: it is affine and lives in the decode, or in the next layer's
weights where a constant is dequantized.
"""

from __future__ import annotations

import attrs
import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.quantized_tensors import (
    clear_parameters,
    propose_integers,
    spread,
    to_integers,
    to_steps,
)


def dequantize_linear(x, x_scale, x_zero_point=None, *, axis=1, block_size=0, output_dtype=0):
    steps = to_steps(x)
    if x_zero_point is not None:
        np.subtract(steps, to_steps(spread(x_zero_point, x.shape, axis, block_size)), steps)
    dtype = _output_dtype(x_scale.dtype, output_dtype)
    scale = spread(x_scale, x.shape, axis, block_size)
    # Two factors of half precision are exact in float32, and rounded once.
    y = steps.astype(np.float32, copy=False)
    np.multiply(y, scale.astype(np.float32), y)
    return (y.astype(dtype, copy=False),)


def _output_dtype(scale, output_dtype):
    if not output_dtype:
        return scale
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(output_dtype))
    except KeyError:
        expected = "the number of an ONNX element type"
        raise AttributeValueError("output_dtype", output_dtype, expected) from None


class QuantizedDequantizeLinear:
    """DequantizeLinear of an encrypted tensor by clear scales and zero points."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        x_scale,
        x_zero_point=None,
        *,
        axis=1,
        block_size=0,
        output_dtype=0,
    ):
        clear_parameters(ctx, x_scale=x_scale, x_zero_point=x_zero_point)
        scale = spread(x_scale, x.shape, axis, block_size).astype(np.float64)
        zero = np.zeros((), dtype=np.int64)
        if x_zero_point is not None:
            zero = to_integers(spread(x_zero_point, x.shape, axis, block_size))
        # Not rounded to the model's precision: that would take it off its grid.
        y = elementwise(ctx, lambda q, z, s: (to_integers(q) - z) * s, x, zero, scale)
        return (attrs.evolve(y, dtype=_output_dtype(x_scale.dtype, output_dtype)),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for a model input as the integers that it is."""
    propose_integers(recorder, 0, inputs[0])


@hookimpl
def cml_op():
    x = np.array([[-3, 0, 2, 4]], dtype=np.int8)
    rows = np.array([[0, 3, 5], [7, 4, 1]], dtype=np.uint8)
    exact = {"tolerance": 1e-6, "n_bits": 3}
    return OpPlugin(
        schema=OpSchema(
            "DequantizeLinear",
            since_versions=(10, 13, 19, 21, 23, 24, 25, 28),
            kind=OpKind.ELEMENTWISE,
        ),
        numpy_op=dequantize_linear,
        quantized_op=QuantizedDequantizeLinear(),
        calibration_hook=propose_grid,
        examples=(
            OpExample((x, np.float32(0.3), np.int8(1)), name="signed", **exact),
            OpExample(
                (rows, np.float32(0.5)),
                opset=10,
                outputs=(np.float32([[0.0, 1.5, 2.5], [3.5, 2.0, 0.5]]),),
                name="no zero point",
                **exact,
            ),
            OpExample(
                (rows, np.float32([0.5, 1.5, 2.0]), np.uint8([0, 3, 1])),
                opset=13,
                outputs=(np.float32([[0.0, 0.0, 8.0], [3.5, 1.5, 0.0]]),),
                name="a scale for each column",
                **exact,
            ),
            OpExample(
                (rows, np.float32([[0.5, 1.0], [2.0, 1.5]]), np.uint8([[1, 2], [3, 4]])),
                {"axis": -1, "block_size": 2},
                opset=21,
                name="blocks along an axis",
                **exact,
            ),
            OpExample(
                (x, np.float32(0.3), np.int8(1)),
                {"output_dtype": TensorProto.FLOAT16},
                name="to half precision",
                n_bits=3,
                tolerance=1e-3,
            ),
            OpExample((np.int32([[-100000, 7]]), np.float32(1e-4)), encrypted=(), name="a bias"),
        ),
        restrictions="scales and zero points must be clear",
    )
