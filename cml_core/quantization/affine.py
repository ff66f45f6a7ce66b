"""When an encrypted tensor is on an affine grid already.

Whether it is one is a question of its values, not of how its decode came about.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.quantization.builder import Register, pooled
from cml_core.quantization.encrypted import EncryptedTensor

__all__ = [
    "AffineView",
    "affine_parameters",
    "affine_view",
    "channel_bounds",
    "is_uniform",
    "level",
]

#: How far from a straight line a decode may be, relative to its range, to count as affine.
_STRAIGHT = 1e-9
#: Most points at which a decode is examined. Beyond them, a deviation is below 16 bits of range.
_POINTS = 2**16 + 1


@attrs.frozen(slots=True, eq=False)
class AffineView:
    """An encrypted tensor as `scale * q + offset`, both float64 arrays of the sample's shape."""

    register: Register
    scale: np.ndarray
    offset: np.ndarray


def affine_parameters(tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and offset per channel if the decode is affine on the integers it can meet, else None.

    Whether it is affine is a question of its values, not of how it came about: Relu of integers
    that cannot be negative is, and so is any function of a boolean.
    """
    if tensor.register.size == 0:
        return np.ones(tensor.decode.channels), np.zeros(tensor.decode.channels)
    low, high = channel_bounds(tensor)
    channel = np.arange(tensor.decode.channels)[:, np.newaxis]
    span = (high - low)[:, np.newaxis]
    ends = np.stack([low, high], axis=1)
    at_ends = tensor.decode(ends, channel).astype(np.float64)
    if not np.isfinite(at_ends).all():
        return None
    width = np.where(high > low, high - low, 1)
    scale = (at_ends[:, 1] - at_ends[:, 0]) / width
    offset = at_ends[:, 0] - scale * low
    longest = int(span.max()) + 1
    for points in (min(17, longest), min(_POINTS, longest)):
        steps = np.linspace(0.0, 1.0, points)
        block = max(1, 2**22 // points)
        for start in range(0, len(low), block):
            part = slice(start, start + block)
            q = low[part, np.newaxis] + np.rint(steps * span[part]).astype(np.int64)
            value = tensor.decode(q, channel[part]).astype(np.float64)
            line = scale[part, np.newaxis] * q + offset[part, np.newaxis]
            if not np.isfinite(value).all():
                return None
            largest = np.abs(value).max(axis=1, keepdims=True)
            if (np.abs(value - line) > _STRAIGHT * largest).any():
                return None
    return scale, offset


def affine_view(tensor: EncryptedTensor) -> AffineView | None:
    """Return a tensor as `scale * q + offset`, or None if it is no such thing."""
    parameters = affine_parameters(tensor)
    if parameters is None:
        return None
    scale, offset = parameters
    return AffineView(tensor.register, scale[tensor.channel], offset[tensor.channel])


def channel_bounds(tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest integer of each channel: proven bounds within the register's interval."""
    bounds, interval = tensor.register.bounds, tensor.register.interval
    low = np.clip(bounds.low, interval.low, interval.high)
    high = np.clip(bounds.high, interval.low, interval.high)
    return pooled(tensor.channel, tensor.decode.channels, low, high)


def level(view: AffineView, varying: tuple[int, ...]) -> AffineView:
    """Give constant elements (padding, masks) the scale of those they share weights with.

    The real value of an integer that never changes can be written with any scale.
    """
    bounds = view.register.bounds
    constant = np.asarray(bounds.low == bounds.high)
    if not constant.any():
        return view
    free = {axis % view.scale.ndim for axis in varying}
    fixed = tuple(axis for axis in range(view.scale.ndim) if axis not in free)
    low = np.where(constant, np.inf, view.scale).min(axis=fixed, keepdims=True)
    shared = np.where(np.isfinite(low), low, view.scale)
    scale = np.where(constant, shared, view.scale)
    offset = view.offset + (view.scale - scale) * bounds.low
    return AffineView(view.register, scale, offset)


def is_uniform(scale: np.ndarray, varying: tuple[int, ...] | None) -> bool:
    """Whether a scale is the same along all axes but those along which it may vary."""
    if varying is None or scale.size == 0:
        return True
    free = {axis % scale.ndim for axis in varying}
    fixed = tuple(axis for axis in range(scale.ndim) if axis not in free)
    low, high = scale.min(axis=fixed), scale.max(axis=fixed)
    return bool((high - low <= _STRAIGHT * np.maximum(np.abs(low), np.abs(high))).all())
