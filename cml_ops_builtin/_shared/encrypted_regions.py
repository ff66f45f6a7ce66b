"""RoiAlign's means and maxima on encrypted integers, region after region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cml_core.plugin_api import LoweringContext, elementwise, move
from cml_ops_builtin._shared.extremes_of_sets import largest_of_sets
from cml_ops_builtin._shared.regions import Corners
from cml_ops_builtin._shared.weighing import integer_rows, weigh

__all__ = ["by_channel", "largests", "means"]

#: The image that a region lies in, and what is read down and across it.
Region = tuple[int, Corners, Corners]


def by_channel(ctx: LoweringContext, x: Any, used: np.ndarray) -> Any:
    """Bring images (N, C, H, W) to (C, E): of each channel the elements that are used."""

    def chosen(a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a, 1, 0).reshape(a.shape[1], -1)[:, used]

    return move(ctx, chosen, [x])[0]


def means(ctx: LoweringContext, x: Any, regions: Sequence[Region], shape: tuple[int, ...]) -> Any:
    """Weigh the elements of each bin: (C, bins), or None if all samples are outside.

    `shape` is that of all bins: regions, rows, columns.
    """
    matrix = np.zeros((*shape, x.shape[0], *x.shape[2:]))
    for place, (image, down, across) in enumerate(regions):
        matrix[place, :, :, image] = np.einsum("ph,qw->pqhw", down.mean(), across.mean())
    matrix = matrix.reshape(np.prod(shape, dtype=int), -1)
    used = np.flatnonzero(matrix.any(axis=0))
    if not len(used):
        return None
    matrix = matrix[:, used]
    # As fine as the width of weights says for the largest one.
    bits = (ctx.bits.weight_bits or 4) - 1 - int(np.floor(np.log2(matrix.max())))
    return weigh(ctx, by_channel(ctx, x, used), 1, *integer_rows(matrix, bits), matrix)


def largests(
    ctx: LoweringContext, x: Any, regions: Sequence[Region], shape: tuple[int, ...]
) -> Any:
    """Find the largest weighted corner of each bin: (C, *shape), or None as above."""
    size = x.shape[2] * x.shape[3]
    reads, bins = [], []
    for place, (image, down, across) in enumerate(regions):
        element = image * size + np.add.outer(down.taps * x.shape[3], across.taps)
        weight = np.multiply.outer(down.weights, across.weights)
        # Corners that count for nothing are zero, and one of them is enough.
        element = np.where(weight == 0, 0, element)
        # (rows, samples, corners) twice become (bins, everything a bin reads).
        pairs = np.stack([element, weight], axis=-1).transpose(0, 3, 1, 2, 4, 5, 6)
        count = shape[1] * shape[2]
        pairs = pairs.reshape(count, -1, 2) if pairs.size else np.zeros((count, 0, 2))
        reads.append(pairs.reshape(-1, 2))
        bins.append(np.repeat(np.arange(count) + place * count, pairs.shape[1]))
    found = np.concatenate([np.zeros((0, 2)), *reads])
    pairs, which = np.unique(found, axis=0, return_inverse=True)
    if not pairs[:, 1].any():
        return None
    owner, which = np.concatenate(bins), which.reshape(-1)
    weighed = elementwise(
        ctx,
        np.multiply,
        by_channel(ctx, x, pairs[:, 0].astype(np.int64)),
        pairs[:, 1].astype(x.dtype),
    )
    sets = [np.unique(which[owner == number]) for number in range(np.prod(shape, dtype=int))]
    return largest_of_sets(ctx, weighed, sets, shape)
