"""From the inputs and attributes of Resize and Upsample to what happens along each axis."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.positions import integers, several_axes
from cml_ops_builtin._shared.resizing import Along, checked, coordinates, resampled

__all__ = ["early_steps", "resize_steps"]

_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_POLICIES = ("stretch", "not_larger", "not_smaller")


def early_steps(shape, scales, *, mode, least=0.0) -> list[Along]:
    """Steps of Upsample and of Resize before opset 11: output element i is read at i / scale.

    The specification leaves the rounding of `nearest` open. As in ONNX Runtime it is down where
    an axis grows, and up where it shrinks.
    """
    checked("mode", mode, ("nearest", "linear"))
    ratios, lengths = _targets(shape, scales, None, "stretch")
    if min(ratios, default=1.0) < least:
        raise AttributeValueError("scales", ratios, f"{least:g} or more")
    steps = []
    for axis, (size, ratio, length) in enumerate(zip(shape, ratios, lengths, strict=True)):
        if ratio == 1.0 or size == 0:
            continue
        x = coordinates("asymmetric", size, ratio, length)
        rounding = "floor" if ratio > 1.0 else "ceil"
        steps.append(resampled(axis, x, size, mode=mode, rounding=rounding))
    return steps


def resize_steps(
    shape,
    roi,
    scales,
    sizes,
    *,
    mode,
    nearest_mode,
    coordinate_transformation_mode,
    cubic_coeff_a,
    exclude_outside,
    axes=None,
    antialias=0,
    keep_aspect_ratio_policy="stretch",
) -> list[Along]:
    """Steps of Resize from opset 11 on; the arguments are those of ONNX."""
    checked("mode", mode, ("nearest", "linear", "cubic"))
    checked("nearest_mode", nearest_mode, _ROUNDINGS)
    transformation = checked(
        "coordinate_transformation_mode", coordinate_transformation_mode, _COORDINATES
    )
    axes = several_axes(range(len(shape)) if axes is None else axes, len(shape))
    ratios, lengths = _targets([shape[a] for a in axes], scales, sizes, keep_aspect_ratio_policy)
    crops = transformation == "tf_crop_and_resize"
    ends = _region(roi, len(axes)) if crops else [(0.0, 1.0)] * len(axes)
    steps = []
    for axis, ratio, length, region in zip(axes, ratios, lengths, ends, strict=True):
        size = shape[axis]
        if size == length and math.isclose(ratio, 1.0) and region == (0.0, 1.0):
            continue
        if size == 0 and length > 0:
            raise AttributeValueError("size of an axis", size, "elements to resize")
        if length == 0:
            nothing = np.zeros((0, 1))
            steps.append(Along(axis, nothing.astype(np.int64), nothing))
            continue
        x = coordinates(transformation, size, ratio, length, region)
        step = resampled(
            axis,
            x,
            size,
            mode=mode,
            rounding=nearest_mode,
            stretch=max(1.0, 1.0 / ratio) if antialias and mode != "nearest" else 1.0,
            cubic_coeff_a=cubic_coeff_a,
            exclude_outside=bool(exclude_outside),
        )
        outside = (x < 0) | (x > size - 1) if crops else np.zeros(length, dtype=bool)
        steps.append(Along(axis, step.taps, step.weights, outside if outside.any() else None))
    return steps


def _targets(sizes_before, scales, sizes, policy) -> tuple[list[float], list[int]]:
    """Ratios and new lengths of the axes that are resized, from `scales` or `sizes`."""
    checked("keep_aspect_ratio_policy", policy, _POLICIES)
    if not sizes_before:
        return [], []
    given = [t for t in (scales, sizes) if t is not None and np.size(t)]
    if len(given) != 1 or np.size(given[0]) != len(sizes_before):
        expected = f"either scales or sizes, with {len(sizes_before)} elements"
        raise AttributeValueError(
            "scales and sizes", [np.asarray(t).tolist() for t in given], expected
        )
    (target,) = given
    if target is scales:
        ratios = [float(scale) for scale in np.asarray(scales)]
        if min(ratios, default=1.0) <= 0:
            raise AttributeValueError("scales", ratios, "numbers greater than 0")
        # In float32, as scales are and as PyTorch and ONNX Runtime multiply: 1.8 x 5 is 9 there.
        single = zip(map(np.float32, ratios), map(np.float32, sizes_before), strict=True)
        return ratios, [math.floor(ratio * size) for ratio, size in single]
    lengths = list(integers(sizes))
    ratios = [m / n if n else 1.0 for m, n in zip(lengths, sizes_before, strict=True)]
    if policy != "stretch" and ratios:
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        ratios = [ratio] * len(ratios)
        lengths = [math.floor(ratio * n + 0.5) for n in sizes_before]
    return ratios, lengths


def _region(roi, count) -> list[tuple[float, float]]:
    if roi is None or np.size(roi) != 2 * count:
        raise AttributeValueError("roi", None if roi is None else roi.tolist(), f"{2 * count} ends")
    starts_and_ends = np.asarray(roi, dtype=np.float64).reshape(2, count)
    return [(float(start), float(end)) for start, end in starts_and_ends.T]
