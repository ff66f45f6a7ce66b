"""Col2Im: blocks of an image, one per column, added up where they overlap.

Under encryption it costs no lookup: columns move to their places and are summed.
"""

from __future__ import annotations

import itertools

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
    sum_,
)
from cml_ops_builtin._shared.positions import integers


def col2_im(x, image_shape, block_shape, **attributes):
    parts = _parts(x, image_shape, block_shape, **attributes)
    wide = x.dtype if x.dtype.kind in "iub" else np.result_type(x.dtype, np.float32)
    return (parts.sum(axis=0, dtype=wide).astype(x.dtype),)


def quantized_col2_im(ctx: LoweringContext, x, image_shape, block_shape, **attributes):
    if isinstance(image_shape, EncryptedTensor) or isinstance(block_shape, EncryptedTensor):
        ctx.refuse("image_shape and block_shape must be clear")
    (parts,) = move(ctx, lambda a: _parts(a, image_shape, block_shape, **attributes), [x])
    return (sum_(ctx, parts, [0], keepdims=False),)


def _parts(x, image_shape, block_shape, *, strides=None, pads=None, dilations=None) -> np.ndarray:
    """The elements at each place of a block, in an image of zeros: (places, N, C, *image)."""
    image, block = integers(image_shape), integers(block_shape)
    rank = len(image)
    strides = (1,) * rank if strides is None else tuple(strides)
    dilations = (1,) * rank if dilations is None else tuple(dilations)
    pads = (0,) * (2 * rank) if pads is None else tuple(pads)
    found = len(block), len(strides), len(dilations), len(pads)
    if found != (rank, rank, rank, 2 * rank):
        expected = f"{rank} each, for {rank} axes, and twice as many pads"
        raise AttributeValueError("sizes of block_shape, strides, dilations, pads", found, expected)
    spans = zip(image, pads[:rank], pads[rank:], dilations, block, strides, strict=True)
    counts = tuple((n + a + b - d * (k - 1) - 1) // s + 1 for n, a, b, d, k, s in spans)
    columns = (np.prod(block, dtype=int), np.prod(counts, dtype=int))
    if x.ndim != 3 or columns[0] == 0 or x.shape[1] % columns[0] or x.shape[2] != columns[1]:
        expected = f"(N, C * {columns[0]}, {columns[1]})"
        raise AttributeValueError("shape of the input", x.shape, expected)
    blocks = x.reshape(x.shape[0], x.shape[1] // columns[0], *block, *counts)
    padded = tuple(n + a + b for n, a, b in zip(image, pads[:rank], pads[rank:], strict=True))
    inside = tuple(slice(a, a + n) for a, n in zip(pads, image, strict=False))
    parts = []
    for place in itertools.product(*map(range, block)):
        canvas = np.zeros((*blocks.shape[:2], *padded), dtype=x.dtype)
        reach = tuple(
            slice(p * d, p * d + s * (m - 1) + 1, s)
            for p, d, s, m in zip(place, dilations, strides, counts, strict=True)
        )
        canvas[(..., *reach)] = blocks[(slice(None), slice(None), *place)]
        parts.append(canvas[(..., *inside)])
    return np.stack(parts)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, -1.0], [3.0, -2.0, 0.5]]], dtype=np.float32)
    square = np.array([[[1.0], [2.0], [-3.0], [0.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Col2Im", since_versions=(18,), kind=OpKind.LINEAR),
        numpy_op=col2_im,
        quantized_op=quantized_col2_im,
        examples=(
            OpExample(
                (x, np.array([1, 4]), np.array([1, 2])), tolerance=0.06, name="overlapping blocks"
            ),
            OpExample(
                (square, np.array([3, 3]), np.array([2, 2])),
                {"dilations": [2, 2]},
                tolerance=0.04,
                name="dilated",
            ),
            OpExample(
                (x, np.array([1, 4]), np.array([1, 2])),
                {"strides": [1, 2], "pads": [0, 1, 0, 1]},
                tolerance=0.04,
                name="strides and pads",
            ),
        ),
        restrictions="image_shape and block_shape must be clear",
    )
