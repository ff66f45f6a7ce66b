"""MaxUnpool: elements back where MaxPool found them, among zeros."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_builtin._shared.positions import integers


def max_unpool(x, indices, output_shape=None, *, kernel_shape, strides=None, pads=None):
    rank = len(kernel_shape)
    strides = (1,) * rank if strides is None else strides
    pads = (0,) * (2 * rank) if pads is None else pads
    if x.ndim != rank + 2 or len(strides) != rank or len(pads) != 2 * rank:
        expected = f"{x.ndim - 2} sizes, as many strides and twice as many pads"
        raise AttributeValueError("kernel_shape", tuple(kernel_shape), expected)
    spans = zip(x.shape[2:], strides, pads[:rank], pads[rank:], kernel_shape, strict=True)
    inner = (*x.shape[:2], *((n - 1) * s - a - b + k for n, s, a, b, k in spans))
    if indices.shape != x.shape:
        raise AttributeValueError("shape of the indices", indices.shape, f"{x.shape}, as X has")
    check_size(inner, x.dtype)
    total = math.prod(inner)
    outside = (indices < 0) | (indices >= total)
    if outside.any():
        first = int(indices[outside].flat[0])
        raise AttributeValueError("indices", first, f"numbers from 0 to {total - 1}")
    image = np.zeros(total, dtype=x.dtype)
    image[indices.reshape(-1)] = x.reshape(-1)
    image = image.reshape(inner)
    if output_shape is None:
        return (image,)
    shape = integers(output_shape)
    if len(shape) != len(inner) or any(n < m for n, m in zip(shape, inner, strict=False)):
        raise AttributeValueError("output_shape", shape, f"sizes of at least {inner}")
    check_size(shape, x.dtype)
    return (np.pad(image, [(0, n - m) for n, m in zip(shape, inner, strict=True)]),)


@hookimpl
def cml_op():
    x = np.array([[[[1.0, 2.0], [-3.0, 4.0]]]], dtype=np.float32)
    places = np.array([[[[5, 7], [13, 15]]]])
    row, ends = np.array([[[2.0, -1.0]]], dtype=np.float32), np.array([[[0, 2]]])
    return OpPlugin(
        schema=OpSchema("MaxUnpool", since_versions=(9, 11, 22), kind=OpKind.MOVEMENT),
        numpy_op=max_unpool,
        quantized_op=MovementQuantizedOp(max_unpool),
        examples=(
            OpExample(
                (x, places), {"kernel_shape": [2, 2], "strides": [2, 2]}, tolerance=0.04, name="2-D"
            ),
            OpExample(
                (row, ends), {"kernel_shape": [2]}, opset=9, tolerance=0.04, name="1-D, opset 9"
            ),
            OpExample(
                (row, ends, np.array([1, 1, 5])),
                {"kernel_shape": [2], "strides": [2]},
                tolerance=0.04,
                name="with an output shape",
            ),
        ),
        restrictions="the indices must be clear",
    )
