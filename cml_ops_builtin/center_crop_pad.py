"""CenterCropPad: the middle of a tensor, or the tensor in the middle of zeros, along each axis."""

from __future__ import annotations

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
from cml_ops_builtin._shared.positions import integers, several_axes


def center_crop_pad(x, shape, *, axes=None):
    axes = several_axes(range(x.ndim) if axes is None else axes, x.ndim)
    sizes = integers(shape)
    if len(sizes) != len(axes) or min(sizes, default=0) < 0:
        expected = f"{len(axes)} sizes of 0 or more, one for each axis"
        raise AttributeValueError("shape", sizes, expected)
    cut, pads = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for axis, size in zip(axes, sizes, strict=True):
        spare = x.shape[axis] - size
        if spare > 0:
            cut[axis] = slice(spare // 2, spare // 2 + size)
        else:
            pads[axis] = (-spare // 2, -spare - -spare // 2)
    whole = dict(enumerate(x.shape)) | dict(zip(axes, sizes, strict=True))
    check_size(list(whole.values()), x.dtype)
    return (np.pad(x[tuple(cut)], pads),)


@hookimpl
def cml_op():
    x = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    return OpPlugin(
        schema=OpSchema("CenterCropPad", since_versions=(18,), kind=OpKind.MOVEMENT),
        numpy_op=center_crop_pad,
        quantized_op=MovementQuantizedOp(center_crop_pad),
        examples=(
            OpExample((x, np.array([2, 1])), tolerance=0.04, name="cropped"),
            OpExample((x, np.array([2, 7])), tolerance=0.04, name="padded"),
            OpExample((x, np.array([3, 3])), tolerance=0.04, name="both"),
            OpExample((x, np.array([2])), {"axes": [-1]}, tolerance=0.04, name="one axis"),
        ),
        restrictions="the shape must be clear",
    )
