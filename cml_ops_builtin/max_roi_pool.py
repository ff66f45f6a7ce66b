"""MaxRoiPool: the largest element of every bin that regions of interest are divided into.

Under encryption X is encrypted and the regions clear: for a bin of k elements k - 1 lookups, and
one more for each element that is used if they are not narrow integers already.
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
)
from cml_ops_builtin._shared.encrypted_regions import by_channel
from cml_ops_builtin._shared.extremes_of_sets import largest_of_sets
from cml_ops_builtin._shared.regions import image_numbers, roi_bins


def max_roi_pool(x, rois, *, pooled_shape, spatial_scale):
    images = image_numbers(rois, 5, x.shape)
    y = np.zeros((len(rois), x.shape[1], *pooled_shape), dtype=x.dtype)
    for place, (image, roi) in enumerate(zip(images, rois[:, 1:], strict=True)):
        rows, columns = roi_bins(roi, x.shape[2:], pooled_shape, spatial_scale)
        if rows.size and columns.size:
            # The rows of each bin first, then the columns of what is left.
            tall = x[image][:, _stood_in(rows)].max(axis=2)
            largest = tall[:, :, _stood_in(columns)].max(axis=3)
            filled = (rows[:, :1] >= 0) & (columns[:, 0] >= 0)
            y[place] = np.where(filled, largest, y[place])
    return (y,)


def _stood_in(places):
    """Let the first element of a bin stand where there are no more: it changes no maximum."""
    return np.maximum(np.where(places < 0, places[:, :1], places), 0)


def quantized_max_roi_pool(ctx: LoweringContext, x, rois, *, pooled_shape, spatial_scale):
    if isinstance(rois, EncryptedTensor):
        ctx.refuse("the regions of interest are encrypted", "They must be clear.")
    images = image_numbers(rois, 5, x.shape)
    size = x.shape[2:]
    sets = []
    for image, roi in zip(images, rois[:, 1:], strict=True):
        rows, columns = roi_bins(roi, size, pooled_shape, spatial_scale)
        for row in rows:
            for column in columns:
                own = np.add.outer(row[row >= 0] * size[1], column[column >= 0]).reshape(-1)
                sets.append(own + int(image) * size[0] * size[1])
    shape = (len(rois), *pooled_shape)
    used = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *sets]))
    if not len(used):
        return (np.zeros((shape[0], x.shape[1], *shape[1:]), dtype=x.dtype),)
    sets = [np.searchsorted(used, own) for own in sets]
    largest = largest_of_sets(ctx, by_channel(ctx, x, used), sets, shape)
    return move(ctx, lambda a: np.moveaxis(a, 0, 1), [largest])


@hookimpl
def cml_op():
    x = np.array([[[[-3, -2, 3, 0], [-1, -3, 2, 4], [-2, -3, -1, 1]]]], dtype=np.float32)
    two = np.concatenate([x, 1 - x])[..., :3]
    return OpPlugin(
        schema=OpSchema("MaxRoiPool", since_versions=(1, 22)),
        numpy_op=max_roi_pool,
        quantized_op=quantized_max_roi_pool,
        # The onnx package has no reference for it; the outputs are those of ONNX Runtime.
        examples=(
            OpExample(
                (x, np.float32([[0, 0, 0, 3, 2]])),
                {"pooled_shape": [2, 2]},
                (np.float32([[[[-1, 4], [-1, 4]]]]),),
                n_bits=3,
                lookups=12,
                max_bits=4,
                name="overlapping bins",
            ),
            OpExample(
                (two, np.float32([[1, 0, 3, 2, 4], [0, 7, 0, 9, 3]])),
                {"pooled_shape": [1, 2], "spatial_scale": 0.5},
                (np.float32([[[[3, 4]]], [[[0, 0]]]]),),
                n_bits=3,
                opset=11,
                name="two images, scaled, one region outside",
            ),
        ),
        restrictions="the regions of interest must be clear",
    )
