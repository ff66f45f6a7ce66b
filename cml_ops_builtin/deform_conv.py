"""DeformConv: a convolution whose filter elements read at shifted places, each with its own weight.

Under encryption X is encrypted, and W, offset, B and mask are clear: a product with one clear
matrix for each image, which costs no lookup. The matrix has as many rows as the image has elements
and as many columns as the result.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    hookimpl,
    matmul,
    reshape,
)
from cml_ops_builtin._shared.deforming import reads_of
from cml_ops_builtin._shared.precision import widened


def deform_conv(x, w, offset, b=None, mask=None, *, group, **attributes):
    reads = reads_of(x.shape, w.shape, offset, mask, group=group, **attributes)
    wide = widened(x)
    depth = w.shape[1] * reads.kernel
    columns = reads.columns(wide).reshape(len(x), group, depth, math.prod(reads.output))
    filters = w.astype(wide.dtype).reshape(group, len(w) // group, depth)
    y = np.matmul(filters, columns).reshape(len(x), len(w), *reads.output)
    if b is not None:
        y = y + b.astype(wide.dtype).reshape(-1, *(1,) * len(reads.output))
    return (y.astype(x.dtype, copy=False),)


def quantized_deform_conv(
    ctx: LoweringContext, x, w, offset, b=None, mask=None, *, group, **attributes
):
    for name, tensor in (("W", w), ("offset", offset), ("B", b), ("mask", mask)):
        if isinstance(tensor, EncryptedTensor):
            ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")
    reads = reads_of(x.shape, w.shape, offset, mask, group=group, **attributes)
    count, channels, *size = x.shape
    matrix = reads.matrix(channels, math.prod(size))
    # Filters over all channels: zero in those of other groups.
    filters = np.zeros((group, len(w) // group, group, *w.shape[1:]))
    every = np.arange(group)
    filters[every, :, every] = w.reshape(group, -1, *w.shape[1:])
    filters = filters.reshape(len(w), channels, reads.kernel)
    matrix = np.einsum("mck,nckps->ncsmp", filters, matrix, optimize=True)
    matrix = matrix.reshape(count, channels * math.prod(size), -1)
    y = matmul(ctx, reshape(ctx, x, (count, 1, matrix.shape[1])), matrix)
    y = reshape(ctx, y, (count, len(w), *reads.output))
    if b is not None:
        y = add(ctx, y, b.reshape(-1, *(1,) * len(reads.output)))
    return (y,)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape, reach=1.0):
        return rng.uniform(-reach, reach, shape).astype(np.float32)

    x = uniform(1, 2, 3, 3)
    return OpPlugin(
        schema=OpSchema("DeformConv", since_versions=(19, 22), kind=OpKind.LINEAR),
        numpy_op=deform_conv,
        quantized_op=quantized_deform_conv,
        examples=(
            OpExample(
                (x, uniform(1, 2, 2, 2), uniform(1, 8, 2, 2), uniform(1), uniform(1, 4, 2, 2)),
                lookups=0,
                name="bias and mask",
            ),
            OpExample(
                (x, uniform(2, 1, 2, 2), uniform(1, 16, 2, 2, reach=2.0)),
                {"group": 2, "offset_group": 2, "strides": [2, 2], "pads": [1, 0, 0, 1]},
                opset=19,
                lookups=0,
                name="groups, strides and padding",
            ),
            # ONNX's reference knows two spatial axes alone.
            OpExample(
                (
                    np.float32([[[1.0, -2.0, 4.0]]]),
                    np.float32([[[1.0, 3.0]]]),
                    np.float32([[[0.5, -1.5], [0.0, 0.25]]]),
                ),
                outputs=(np.float32([[[-6.5, 9.5]]]),),
                name="one dimension",
            ),
        ),
        restrictions="W, offset, B and mask must be clear",
    )
