"""ConvInteger: convolution of integer images with integer filters, each less its zero point.

Under encryption x is encrypted. Its integers and those of the filters are taken exactly as they
are, at no lookup; the accumulator has their widths and about log2(C / group * kernel size) bits.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.integer_products import conv_integers, shifted
from cml_ops_builtin._shared.quantized_tensors import clear_parameters, propose_integers, spread


def conv_integer(x, w, x_zero_point=None, w_zero_point=None, **attributes):
    images = shifted(None, x, _scalar(x, x_zero_point))
    filters = shifted(None, w, _of_filters(w, w_zero_point))
    return (conv_integers(None, images, filters, **attributes).astype(np.int32),)


def _scalar(x, zero_point):
    return None if zero_point is None else spread(zero_point, x.shape, 1)


def _of_filters(w, zero_point):
    return None if zero_point is None else spread(zero_point, w.shape, 0)


class QuantizedConvInteger:
    """ConvInteger with clear filters."""

    def __call__(
        self, ctx: LoweringContext, x, w, x_zero_point=None, w_zero_point=None, **attributes
    ):
        clear_parameters(ctx, w=w, x_zero_point=x_zero_point, w_zero_point=w_zero_point)
        images = shifted(ctx, x, _scalar(x, x_zero_point))
        filters = shifted(ctx, w, _of_filters(w, w_zero_point))
        y = conv_integers(ctx, images, filters, **attributes)
        return (attrs.evolve(y, dtype=np.dtype(np.int32)),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for a model input as the integers that it is."""
    propose_integers(recorder, 0, inputs[0])


@hookimpl
def cml_op():
    x = np.arange(2, 11, dtype=np.uint8).reshape(1, 1, 3, 3)
    w = np.array([[[[3, -1], [0, 90]]], [[[1, 1], [-128, 2]]]], dtype=np.int8)
    row = np.array([[[0, 7, 3, 5], [2, 2, 6, 1]]], dtype=np.uint8)
    exact = {"tolerance": 0.0, "n_bits": 2}
    large = np.array([[[[100, 97, 96]]]], dtype=np.uint8)
    return OpPlugin(
        schema=OpSchema("ConvInteger", since_versions=(10,), kind=OpKind.LINEAR),
        numpy_op=conv_integer,
        quantized_op=QuantizedConvInteger(),
        calibration_hook=propose_grid,
        examples=(
            OpExample(
                (x, w, np.uint8(2)),
                {"pads": [1, 1, 1, 1], "strides": [2, 2]},
                name="padded with the zero point",
                **exact,
            ),
            OpExample((x, w), {"kernel_shape": [2, 2]}, name="no zero points", **exact),
            OpExample(
                (large, np.uint8([[[[1, 9]]], [[[2, 0]]]]), np.uint8(96), np.uint8([1, 4])),
                name="a zero point for each filter",
                **exact,
            ),
            OpExample(
                (row, np.int8([[[1, -2]], [[5, 4]]]), np.uint8(1), np.int8(1)),
                {"group": 2, "dilations": [2]},
                outputs=(np.int32([[[-6, -12], [19, 4]]]),),
                name="one dimension, two groups, dilated",
                **exact,
            ),
        ),
        restrictions="w and the zero points must be clear",
    )
