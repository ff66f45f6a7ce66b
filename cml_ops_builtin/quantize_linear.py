"""QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point), ties to even.

The scale and the zero point are those of the whole tensor, of an axis, or of blocks along it.
Under encryption the integers are exactly the model's own, whatever bit width was chosen for the
rest: what reads them gets them by one lookup per element, for this and all functions around it, or
by none if they are on their grid already. A model input that nothing else reads is encrypted on
that grid by the client, and costs none either. Rounding before lookups makes the integers inexact;
`rounding_bits=None` turns it off.
"""

from __future__ import annotations

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
    grid_of,
    integer_range,
    kept_integers,
    round_to,
    seen_integers,
    spread,
    to_integers,
)


def quantize_linear(
    x,
    y_scale,
    y_zero_point=None,
    *,
    axis=1,
    saturate=1,
    block_size=0,
    output_dtype=0,
    precision=0,
):
    dtype = _output_dtype(y_zero_point, output_dtype)
    scale = spread(y_scale, x.shape, axis, block_size)
    if y_zero_point is not None:
        y_zero_point = spread(y_zero_point, x.shape, axis, block_size)
    value = _divide(x, scale, _precision(x.dtype, y_scale.dtype, precision))
    return (np.asarray(round_to(value, y_zero_point, dtype, saturate=saturate)),)


def _divide(x, scale, precision):
    with np.errstate(all="ignore"):
        return x.astype(precision, copy=False) / scale.astype(precision, copy=False)


def _element_type(name, number):
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise AttributeValueError(name, number, "the number of an ONNX element type") from None


def _output_dtype(y_zero_point, output_dtype):
    wanted = _element_type("output_dtype", output_dtype) if output_dtype else None
    if y_zero_point is None:
        return wanted or np.dtype(np.uint8)
    if wanted not in (None, y_zero_point.dtype):
        expected = f"the type of y_zero_point, {y_zero_point.dtype}"
        raise AttributeValueError("output_dtype", output_dtype, expected)
    return y_zero_point.dtype


def _precision(x, scale, precision):
    """Type that the division is done in: what the node says, else the scale's own."""
    if precision:
        return _element_type("precision", precision)
    if scale.name == "float8_e8m0fnu":
        scale = x
    return np.dtype(np.float64) if scale.kind in "iu" else scale


class QuantizedQuantizeLinear:
    """QuantizeLinear of an encrypted tensor by clear scales and zero points."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        y_scale,
        y_zero_point=None,
        *,
        axis=1,
        block_size=0,
        saturate=1,
        output_dtype=0,
        precision=0,
    ):
        clear_parameters(ctx, y_scale=y_scale, y_zero_point=y_zero_point)
        dtype = _output_dtype(y_zero_point, output_dtype)
        division = _precision(x.dtype, y_scale.dtype, precision)
        scale = spread(y_scale, x.shape, axis, block_size).astype(np.float64)
        zero = np.zeros((), dtype=np.int64)
        if y_zero_point is not None:
            zero = to_integers(spread(y_zero_point, x.shape, axis, block_size))

        def function(values, scales, zeros):
            # In the model's own precision, so that what is a tie there is one here as well.
            value = _divide(values.astype(x.dtype), scales, division)
            return round_to(value, zeros, dtype, saturate=saturate)

        y = elementwise(ctx, function, x, scale, zero)
        return (kept_integers(y, dtype),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for the input on the grid that the output will be on, if one grid serves all of it."""
    _, scale, *rest = inputs
    (y,) = outputs
    limits = integer_range(y.dtype)
    if scale.size != 1 or attributes.get("block_size") or limits is None or y.size == 0:
        return
    if not np.isfinite(scale).all() or not scale > 0:
        return
    zero = int(to_integers(rest[0]).reshape(())) if rest and rest[0] is not None else 0
    first, levels = grid_of(*seen_integers(recorder, "y", y), limits)
    step = float(scale.reshape(()))
    clips = first == limits[0], first + levels - 1 == limits[1]
    recorder.propose_grid(0, step, step * (first - zero), levels, clips=clips)


@hookimpl
def cml_op():
    x = np.array([[-1.5, -0.5, 0.0, 0.6, 1.25, 3.0]], dtype=np.float32)
    rows = np.array([[-1.0, 0.5, 3.0], [-4.0, 2.0, 4.0]], dtype=np.float32)
    scale, zero = np.float32(0.5), np.int8(1)
    exact = {"tolerance": 1e-6, "n_bits": 3}
    return OpPlugin(
        schema=OpSchema(
            "QuantizeLinear",
            since_versions=(10, 13, 19, 21, 23, 24, 25, 28),
            kind=OpKind.ELEMENTWISE,
        ),
        numpy_op=quantize_linear,
        quantized_op=QuantizedQuantizeLinear(),
        calibration_hook=propose_grid,
        examples=(
            OpExample((x, scale, zero), name="an input on the model's own grid", **exact),
            OpExample((x + 2, scale), opset=10, name="no zero point: uint8", **exact),
            OpExample(
                (rows, np.float32([0.5, 2.0]), np.int8([0, -1])),
                {"axis": -2},
                opset=13,
                name="a scale for each row",
                tolerance=0.2,
            ),
            OpExample(
                (rows, np.float32([[0.5], [2.0]]), np.uint8([[2], [3]])),
                {"axis": 1, "block_size": 3},
                name="blocks along an axis",
                tolerance=0.2,
            ),
            OpExample(
                (x, np.float32(0.25)),
                {"output_dtype": TensorProto.INT16},
                opset=21,
                name="16 bits",
                **exact,
            ),
            OpExample(
                (x.astype(np.float16), np.float16(0.3)),
                {"output_dtype": TensorProto.UINT4},
                encrypted=(),
                name="half precision to 4 bits",
            ),
            OpExample(
                (x, np.float32(0.3)),
                {"output_dtype": TensorProto.FLOAT8E4M3FN},
                opset=23,
                encrypted=(),
                name="to float8",
            ),
            OpExample(
                (np.int32([[-7, 0, 3, 1000]]), np.float32(2.0), np.int8(0)),
                encrypted=(),
                name="integers, one of them too large",
            ),
        ),
        restrictions="scales and zero points must be clear; small float types get no grid",
    )
