"""QLinearConv: convolution of a quantized image, quantized to the output's scale.

y = saturate(round((conv(x - x_zero_point, w - w_zero_point) + B) * x_scale * w_scale / y_scale)
+ y_zero_point), ties to even. Under encryption x is encrypted; all integers are exactly the
model's own: no lookup for the product, one per element for the rounding to the output's grid.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.integer_products import conv_integers, shifted
from cml_ops_builtin._shared.quantized_tensors import (
    clear_parameters,
    kept_integers,
    propose_integers,
    requantized,
    spread,
)


def q_linear_conv(
    x,
    x_scale,
    x_zero_point,
    w,
    w_scale,
    w_zero_point,
    y_scale,
    y_zero_point,
    b=None,
    **attributes,
):
    images = shifted(None, x, spread(x_zero_point, x.shape, 1))
    filters = shifted(None, w, spread(w_zero_point, w.shape, 0))
    scale, bias = _of_result(x, x_scale, w, w_scale, y_scale, b)
    product = conv_integers(None, images, filters, **attributes) + bias
    zero = spread(y_zero_point, product.shape, 1)
    return (requantized(product, scale, zero, y_zero_point.dtype),)


def _of_result(x, x_scale, w, w_scale, y_scale, b):
    """Scale and bias of each channel: real value of an integer in steps of the output."""
    channels = (1, len(w), *(1,) * (x.ndim - 2))
    scale = x_scale.reshape(()) * spread(w_scale, channels, 1) / spread(y_scale, channels, 1)
    bias = np.zeros((), dtype=np.int64) if b is None else spread(b, channels, 1).astype(np.int64)
    return scale, bias


class QuantizedQLinearConv:
    """QLinearConv with clear filters and bias."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        x_scale,
        x_zero_point,
        w,
        w_scale,
        w_zero_point,
        y_scale,
        y_zero_point,
        b=None,
        **attributes,
    ):
        clear_parameters(ctx, x_scale=x_scale, x_zero_point=x_zero_point, B=b)
        clear_parameters(ctx, w=w, w_scale=w_scale, w_zero_point=w_zero_point)
        clear_parameters(ctx, y_scale=y_scale, y_zero_point=y_zero_point)
        images = shifted(ctx, x, spread(x_zero_point, x.shape, 1))
        filters = shifted(ctx, w, spread(w_zero_point, w.shape, 0))
        scales, biases = _of_result(x, x_scale, w, w_scale, y_scale, b)
        product = conv_integers(ctx, images, filters, **attributes)
        zeros = spread(y_zero_point, product.shape, 1)

        def function(values, scale, bias, zero):
            return requantized(values + bias, scale.astype(np.float32), zero, y_zero_point.dtype)

        y = elementwise(ctx, function, product, scales, biases, zeros)
        return (kept_integers(y, y_zero_point.dtype),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for a model input as the integers that it is."""
    propose_integers(recorder, 0, inputs[0])


@hookimpl
def cml_op():
    x = np.array([[[[0, 1, 4], [7, 3, 2]]]], dtype=np.uint8)
    w = np.array([[[[1, -2], [0, 3]]], [[[2, 1], [-1, 1]]]], dtype=np.int8)
    row = np.array([[[3, -2, 0], [1, 2, -3]]], dtype=np.int8)
    of_x, of_w = (np.float32(0.5), np.uint8(2)), (np.float32(0.1), np.int8(0))
    of_y = np.float32(0.33), np.uint8(10)
    per_filter = np.float32([0.1, 0.3]), np.int8([0, 1])
    exact = {"tolerance": 0.0, "n_bits": 5}
    return OpPlugin(
        schema=OpSchema("QLinearConv", since_versions=(10,), kind=OpKind.LINEAR),
        numpy_op=q_linear_conv,
        quantized_op=QuantizedQLinearConv(),
        calibration_hook=propose_grid,
        examples=(
            OpExample((x, *of_x, w, *of_w, *of_y), name="one scale for all filters", **exact),
            OpExample(
                (x, *of_x, w, *per_filter, *of_y, np.int32([5, -3])),
                {"kernel_shape": [2, 2], "strides": [1, 2]},
                name="a scale for each filter, and a bias",
                **exact,
            ),
            OpExample(
                (x, *of_x, w[:1], *of_w, *of_y),
                {"pads": [0, 1, 0, 0], "strides": [1, 2]},
                name="padded with the zero point",
                **exact,
            ),
            OpExample(
                (
                    *(row, np.float32(0.5), np.int8(-1)),
                    *(np.int8([[[2]], [[-3]]]), np.float32(0.2), np.int8(0)),
                    *(np.float32(0.25), np.int8(3)),
                ),
                {"group": 2},
                outputs=(np.int8([[[6, 2, 4], [1, -1, 5]]]),),
                name="one dimension, two groups",
                **exact,
            ),
        ),
        restrictions="w, B, scales and zero points must be clear",
    )
