"""Resizing: each output element reads a few input elements, one axis after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor, LoweringContext, affine, move
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.weighing import integer_rows, weigh

__all__ = [
    "Along",
    "checked",
    "coordinates",
    "nearest",
    "neighbours",
    "resampled",
    "resize",
    "resize_encrypted",
]

#: Bytes of results that are computed at a time, so that they stay in a core's cache.
_CHUNK = 1 << 19


@attrs.frozen(slots=True, eq=False)
class Along:
    """What resizing does along one axis.

    Parameters
    ----------
    axis : int
        The axis.
    taps : int array of shape (M, n)
        The input elements that each output element reads.
    weights : float array of shape (M, n)
        Their weights; rows sum up to one.
    outside : bool array of shape (M,) or None
        Which output elements are beyond the input and get the extrapolation value.
    """

    axis: int
    taps: np.ndarray
    weights: np.ndarray
    outside: np.ndarray | None = None

    @property
    def is_move(self) -> bool:
        """Whether each output element is one of the input's."""
        return self.taps.shape[1] == 1 and bool((self.weights == 1).all())

    def matrix(self, size: int) -> np.ndarray:
        """Return the weights as a matrix of shape (M, size)."""
        dense = np.zeros((len(self.taps), size))
        np.add.at(dense, (np.arange(len(self.taps))[:, np.newaxis], self.taps), self.weights)
        return dense


def checked(name: str, value: str, known: Sequence[str]) -> str:
    """Return an attribute that must be one of some words."""
    if value not in known:
        raise AttributeValueError(name, value, "one of " + ", ".join(known))
    return value


def coordinates(
    mode: str, size: int, scale: float, new_size: int, roi: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Where along the input axis the output elements lie, by a coordinate transformation mode.

    Parameters
    ----------
    mode : str
        ONNX's `coordinate_transformation_mode`.
    size, new_size : int
        Length of the axis before and after.
    scale : float
        Ratio of the lengths, before the new one was made whole.
    roi : pair of float
        Normalized ends of the region that `tf_crop_and_resize` takes.
    """
    place = np.arange(new_size, dtype=np.float64)
    length = scale * size
    if mode == "asymmetric":
        x = place / scale
    elif mode == "align_corners":
        x = place * (size - 1) / (length - 1) if length != 1 else np.zeros(new_size)
    elif mode == "tf_crop_and_resize":
        start, end = roi
        if length == 1:
            x = np.full(new_size, 0.5 * (start + end) * (size - 1))
        else:
            x = (start + place * (end - start) / (length - 1)) * (size - 1)
    elif mode == "tf_half_pixel_for_nn":
        x = (place + 0.5) / scale
    elif mode == "pytorch_half_pixel" and length <= 1:
        x = np.zeros(new_size)
    else:
        x = (place + 0.5) / scale - 0.5
        if mode == "half_pixel_symmetric":
            x += size / 2 * (1 - new_size / length)
    # A tie must be one although its coordinate was divided; float64 keeps far more digits.
    return np.round(x, 9)


def nearest(rounding: str, x: np.ndarray) -> np.ndarray:
    """Round coordinates by ONNX's `nearest_mode`."""
    rule: Callable[[np.ndarray], np.ndarray] = {
        "round_prefer_floor": lambda v: np.ceil(v - 0.5),
        "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }[rounding]
    return rule(x).astype(np.int64)


def _triangle(distance: np.ndarray, a: float) -> np.ndarray:
    return np.maximum(1.0 - distance, 0.0)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Cubic convolution (Keys 1981, equation 4, with a free parameter a)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


_FILTERS = {"linear": (_triangle, 1), "cubic": (_cubic, 2)}


def neighbours(
    x: np.ndarray, mode: str, *, stretch: float = 1.0, cubic_coeff_a: float = -0.75
) -> tuple[np.ndarray, np.ndarray]:
    """Elements around coordinates, along a new last axis, and their weights.

    The filter may reach beyond both ends of the input. `stretch` makes it that much wider.
    """
    function, radius = _FILTERS[mode]
    reach = math.ceil(radius * stretch)
    taps = np.floor(x).astype(np.int64)[..., np.newaxis] - reach + 1 + np.arange(2 * reach)
    weights = function(np.abs(x[..., np.newaxis] - taps) / stretch, cubic_coeff_a)
    if stretch > 1.0:
        weights /= weights.sum(axis=-1, keepdims=True)
    return taps, weights


def resampled(
    axis: int,
    x: np.ndarray,
    size: int,
    *,
    mode: str,
    rounding: str = "floor",
    stretch: float = 1.0,
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
) -> Along:
    """Say what is read at coordinates `x` of an axis of `size` elements.

    Parameters
    ----------
    stretch : float
        How much wider the filter is than between neighbours: more than 1 against aliasing.
    """
    if mode == "nearest":
        taps = np.clip(nearest(rounding, x), 0, size - 1)[:, np.newaxis]
        return Along(axis, taps, np.ones(taps.shape))
    taps, weights = neighbours(x, mode, stretch=stretch, cubic_coeff_a=cubic_coeff_a)
    if exclude_outside:
        weights = np.where((taps < 0) | (taps >= size), 0.0, weights)
        total = weights.sum(axis=1, keepdims=True)
        weights /= np.where(total == 0, 1.0, total)
    used = (weights != 0).any(axis=0) | (len(x) == 0)
    return Along(axis, np.clip(taps, 0, size - 1)[:, used], weights[:, used])


def resize(x: np.ndarray, steps: Sequence[Along], extrapolation_value: float = 0.0) -> np.ndarray:
    """Resize an array; integers are computed in float64 and rounded to the nearest."""
    moves = all(step.is_move for step in steps)
    is_rounded = x.dtype.kind in "iu" and not moves
    wide = x if moves else x.astype(np.float64) if is_rounded else widened(x)
    # Axes that shrink come first. Of the others it is the last ones: their elements lie apart.
    order = sorted(steps, key=lambda step: (len(step.taps) > x.shape[step.axis], -step.axis))
    if not steps or any(step.axis == 0 for step in steps):
        y = _resampled(wide, order)
    else:
        shape = list(x.shape)
        for step in steps:
            shape[step.axis] = len(step.taps)
        y = np.empty(shape, dtype=wide.dtype)
        each = max(1, _CHUNK // max(y[:1].nbytes, 1))
        for start in range(0, len(y), each):
            y[start : start + each] = _resampled(wide[start : start + each], order)
    y = _filled(y, steps, extrapolation_value)
    if is_rounded:
        known = np.iinfo(x.dtype)
        y = np.clip(np.rint(y), known.min, known.max)
    return y.astype(x.dtype, copy=False)


def _resampled(x: np.ndarray, steps: Sequence[Along]) -> np.ndarray:
    for step in steps:
        along = (-1, *(1,) * (x.ndim - step.axis - 1))
        weights = step.weights.astype(x.dtype, copy=False) if not step.is_move else step.weights
        parts = []
        for tap, weight in zip(step.taps.T, weights.T, strict=True):
            # Taps are within the axis: this mode saves their being looked at.
            part = np.take(x, tap, axis=step.axis, mode="clip")
            parts.append(part if step.is_move else np.multiply(part, weight.reshape(along), part))
            if len(parts) > 1:
                np.add(parts[0], parts.pop(), parts[0])
        # Without taps, all weights are zero.
        x = parts[0] if parts else np.take(x, np.zeros(len(step.taps), int), axis=step.axis) * 0
    return x


def resize_encrypted(
    ctx: LoweringContext,
    x: EncryptedTensor,
    steps: Sequence[Along],
    extrapolation_value: float = 0.0,
) -> EncryptedTensor:
    """Resize an encrypted tensor without a lookup: a movement, or a clear matrix per axis."""
    if math.prod(len(step.taps) / x.shape[step.axis] for step in steps) > 1.0:
        # What the next operator would look up for every copy is looked up once.
        view = affine(ctx, x)
        x = EncryptedTensor.on_grid(view.register, view.scale, view.offset, x.dtype)
    for step in steps:
        if step.is_move:
            (x,) = move(ctx, lambda a, s=step: np.take(a, s.taps[:, 0], axis=s.axis), [x])
            continue
        matrix = step.matrix(x.shape[step.axis])
        x = weigh(ctx, x, step.axis, *integer_rows(matrix, ctx.bits.weight_bits or 4), matrix)
    if any(step.outside is not None for step in steps):
        value = np.asarray(extrapolation_value, dtype=np.float64)
        (x,) = move(ctx, lambda a, v: _filled(a, steps, v), [x, value])
    return x


def _filled(y: np.ndarray, steps: Sequence[Along], value: float | np.ndarray) -> np.ndarray:
    for step in steps:
        if step.outside is not None:
            y = np.where(step.outside.reshape(-1, *(1,) * (y.ndim - step.axis - 1)), value, y)
    return y
