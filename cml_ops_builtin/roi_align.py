"""RoiAlign: samples between the elements of regions of interest; their mean or largest, by bins.

Under encryption X is encrypted and the regions clear. A mean is a product with clear weights and
costs no lookup. In mode "max", a bin that reads k elements takes k lookups to weigh them, and
k - 1 to compare.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.encrypted_regions import largests, means
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.regions import corners, image_numbers


def _corners(
    x_shape,
    rois,
    batch_indices,
    *,
    output_height,
    output_width,
    sampling_ratio,
    spatial_scale,
    coordinate_transformation_mode="output_half_pixel",
):
    """For each region the image it lies in, and what is read along both axes."""
    images = image_numbers(rois, 4, x_shape, batch_indices)
    half_pixel = coordinate_transformation_mode == "half_pixel"
    if not half_pixel and coordinate_transformation_mode != "output_half_pixel":
        expected = "half_pixel or output_half_pixel"
        name = "coordinate_transformation_mode"
        raise AttributeValueError(name, coordinate_transformation_mode, expected)
    for name, count in (("output_height", output_height), ("output_width", output_width)):
        if count < 1:
            raise AttributeValueError(name, count, "at least 1")
    if sampling_ratio < 0:
        raise AttributeValueError("sampling_ratio", sampling_ratio, "0 or a number of samples")
    found, ends = [], widened(rois)
    ends = ends * ends.dtype.type(spatial_scale)
    for image, (left, top, right, bottom) in zip(images.tolist(), ends, strict=True):
        sides = (top, bottom, output_height), (left, right, output_width)
        axes = [
            corners(*side, size, sampling_ratio, half_pixel=half_pixel)
            for side, size in zip(sides, x_shape[2:], strict=True)
        ]
        found.append((image, *axes))
    return found


def _is_mean(mode):
    if mode not in ("avg", "max"):
        raise AttributeValueError("mode", mode, "avg or max")
    return mode == "avg"


def roi_align(x, rois, batch_indices, *, mode, **attributes):
    regions = _corners(x.shape, rois, batch_indices, **attributes)
    shape = (len(rois), x.shape[1], attributes["output_height"], attributes["output_width"])
    y = np.zeros(shape, dtype=x.dtype)
    pool = _mean if _is_mean(mode) else _largest
    for place, (image, down, across) in enumerate(regions):
        y[place] = pool(x[image].astype(np.float64), down, across)
    return (y,)


def _mean(image, down, across):
    return down.mean() @ (image @ across.mean().T)


def _largest(image, down, across):
    """Largest of the weighted corners of all samples, as ONNX's reference and its tests have it.

    The specification's words could as well mean the largest of the interpolated samples.
    """
    best = 0.0
    if down.taps.size and across.taps.size:
        weights = np.multiply.outer(down.weights, across.weights)
        best = (image[:, down.taps][..., across.taps] * weights).max(axis=(2, 3, 5, 6))
    return best


def quantized_roi_align(ctx: LoweringContext, x, rois, batch_indices, *, mode, **attributes):
    if isinstance(rois, EncryptedTensor) or isinstance(batch_indices, EncryptedTensor):
        ctx.refuse("the regions of interest are encrypted", "rois and batch_indices must be clear.")
    regions = _corners(x.shape, rois, batch_indices, **attributes)
    shape = (len(rois), attributes["output_height"], attributes["output_width"])
    result = (means if _is_mean(mode) else largests)(ctx, x, regions, shape)
    if result is None:
        return (np.zeros((shape[0], x.shape[1], *shape[1:]), dtype=x.dtype),)
    return move(ctx, lambda a: np.moveaxis(a.reshape(a.shape[0], *shape), 0, 1), [result])


@hookimpl
def cml_op():
    x = np.array([[[[-3, 2, 3, 0], [-1, -3, 2, 4], [-2, -3, -1, 1]]]], dtype=np.float32)
    two = np.concatenate([x, 1 - x])
    roi, image = np.float32([[0.5, 0.5, 3.5, 2.5]]), np.array([0])
    return OpPlugin(
        schema=OpSchema("RoiAlign", since_versions=(10, 16, 22)),
        numpy_op=roi_align,
        quantized_op=quantized_roi_align,
        examples=(
            OpExample(
                (x, roi, image),
                {"output_height": 2, "output_width": 2},
                tolerance=0.05,
                lookups=0,
                name="means",
            ),
            OpExample(
                (two, np.float32([[1, 2, 5, 5], [30, 0, 40, 2]]), np.array([1, 0])),
                {"output_width": 2, "sampling_ratio": 2, "spatial_scale": 0.5},
                tolerance=0.08,
                name="two images, scaled, one region outside",
            ),
            OpExample(
                (x, roi, image),
                {"output_width": 2, "mode": "max", "sampling_ratio": 1},
                n_bits=3,
                name="largest",
            ),
            # ONNX's reference shifts by half an element although revision 10 does not.
            OpExample(
                (x, roi, image),
                {"output_height": 2, "sampling_ratio": 1},
                (np.float32([[[[2.0], [-1.0]]]]),),
                opset=10,
                name="opset 10",
            ),
        ),
        restrictions="rois and batch_indices must be clear",
    )
