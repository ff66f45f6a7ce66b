"""AffineGrid: the positions of an image's elements, moved by affine matrices.

Under encryption the matrices are encrypted and the size clear. It costs no lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.positions import integers
from cml_ops_builtin._shared.weighing import integer_rows, weigh


def affine_grid(theta, size, *, align_corners):
    points, spatial = _points(theta.shape, size, align_corners)
    moved = np.matmul(points, theta.astype(np.float64).transpose(0, 2, 1))
    return (moved.reshape(-1, *spatial, theta.shape[1]).astype(theta.dtype),)


def quantized_affine_grid(ctx: LoweringContext, theta, size, *, align_corners):
    if isinstance(size, EncryptedTensor):
        ctx.refuse("the size must be clear")
    points, spatial = _points(theta.shape, size, align_corners)
    moved = weigh(ctx, theta, 2, *integer_rows(points, ctx.bits.weight_bits or 4), points)
    return move(ctx, lambda a: a.transpose(0, 2, 1).reshape(-1, *spatial, theta.shape[1]), [moved])


def _points(shape, size, align_corners) -> tuple[np.ndarray, tuple[int, ...]]:
    """Homogeneous positions of all elements (P, rank + 1), x first, and the spatial shape.

    A lone element along an axis is in its middle, as in PyTorch, which the specification refers to.
    """
    spatial = integers(size)[2:]
    if len(spatial) not in (2, 3) or shape[1:] != (len(spatial), len(spatial) + 1):
        expected = "(N, 2, 3) for a size of 4 numbers, (N, 3, 4) for 5"
        raise AttributeValueError("shape of theta", shape, expected)
    check_size([*spatial, len(spatial) + 1], np.float64)
    axes = []
    for count in spatial:
        if align_corners and count > 1:
            axes.append(np.linspace(-1.0, 1.0, count))
        else:
            axes.append((2 * np.arange(count) + 1) / max(count, 1) - 1)
    grids = np.meshgrid(*axes, indexing="ij")[::-1]
    return np.stack([*grids, np.ones(spatial)], axis=-1).reshape(-1, len(spatial) + 1), spatial


@hookimpl
def cml_op():
    theta = np.array([[[1.0, 0.5, -0.25], [-0.5, 1.0, 0.75]]], dtype=np.float32)
    solid = np.eye(3, 4, dtype=np.float32)[np.newaxis] + 0.25
    return OpPlugin(
        schema=OpSchema("AffineGrid", since_versions=(20,), kind=OpKind.LINEAR),
        numpy_op=affine_grid,
        quantized_op=quantized_affine_grid,
        examples=(
            OpExample((theta, np.array([1, 1, 2, 2])), tolerance=0.06, name="plane"),
            OpExample(
                (theta, np.array([1, 1, 2, 3])),
                {"align_corners": 1},
                tolerance=0.06,
                name="corners aligned",
            ),
            OpExample((solid, np.array([1, 1, 2, 1, 2])), tolerance=0.06, name="space"),
        ),
        restrictions="the size must be clear",
    )
