"""GridSample: an image sampled at the positions of a grid; nearest, linear or cubic.

Under encryption the image is encrypted and the grid clear. It costs no lookup: the nearest
elements only move, and the others are sums with clear weights.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
    reshape,
)
from cml_ops_builtin._shared.sampling import sampled, samples_of
from cml_ops_builtin._shared.weighing import integer_rows, weigh


def grid_sample(x, grid, **attributes):
    shape = (*x.shape[:2], *grid.shape[1:-1])
    result = sampled(x, *samples_of(x.shape, grid, **attributes)).reshape(shape)
    return (np.rint(result).astype(x.dtype) if x.dtype.kind in "iu" else result.astype(x.dtype),)


def quantized_grid_sample(ctx: LoweringContext, x, grid, **attributes):
    if isinstance(grid, EncryptedTensor):
        ctx.refuse("the grid must be clear", "Sample at fixed positions.")
    taps, weights = samples_of(x.shape, grid, **attributes)
    flat = reshape(ctx, x, (*x.shape[:2], -1))
    images = []
    for number, (tap, weight) in enumerate(zip(taps, weights, strict=True)):
        (image,) = move(ctx, lambda a, n=number: a[n : n + 1], [flat])
        matrix = np.zeros((len(tap), flat.shape[2]))
        np.add.at(matrix, (np.arange(len(tap))[:, np.newaxis], tap), weight)
        rows = integer_rows(matrix, ctx.bits.weight_bits or 4)
        images.append(weigh(ctx, image, 2, *rows, matrix))
    shape = (*x.shape[:2], *grid.shape[1:-1])
    return move(ctx, lambda *parts: np.concatenate(parts).reshape(shape), images)


@hookimpl
def cml_op():
    x = np.array([[[[0.0, 1.0, 2.0], [-1.0, 3.0, 0.5]]]], dtype=np.float32)
    grid = np.float32([[[[0.0, 0.0], [-0.5, 1.0]], [[1.5, -1.0], [0.5, 0.5]]]])
    return OpPlugin(
        schema=OpSchema("GridSample", since_versions=(16, 20, 22)),
        numpy_op=grid_sample,
        quantized_op=quantized_grid_sample,
        examples=(
            OpExample((x, grid), tolerance=0.06, name="linear"),
            OpExample(
                (x, grid),
                {"mode": "nearest", "padding_mode": "border", "align_corners": 1},
                tolerance=0.05,
                name="nearest",
            ),
            OpExample(
                (x, grid),
                {"mode": "cubic", "padding_mode": "reflection", "align_corners": 1},
                n_bits=6,
                tolerance=0.04,
                name="cubic",
            ),
            OpExample(
                (x, grid),
                {"mode": "bilinear", "align_corners": 1},
                (np.array([[[[2.0, 1.0], [1.0, 1.6875]]]], dtype=np.float32),),
                opset=16,
                tolerance=0.07,
                name="opset 16",
            ),
        ),
        restrictions="the grid must be clear",
    )
