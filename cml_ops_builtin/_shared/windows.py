"""Sliding windows of convolutions and pools: where they lie, by ONNX's attributes."""

from __future__ import annotations

import functools

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = [
    "Windows",
    "kernel_of",
    "padded",
    "place_windows",
    "reduced",
    "spatial_attribute",
    "window_parts",
    "window_sums",
]

#: Bytes of images that are pooled at a time, so that they stay in a core's second-level cache.
_CHUNK = 1 << 19


@attrs.frozen(slots=True)
class Windows:
    """Windows over the spatial axes of a tensor; every tuple has one entry per spatial axis.

    Parameters
    ----------
    size, kernel, strides, dilations : tuple of int
        Of the input and of the windows.
    before, after : tuple of int
        Padding that counts as such, from `pads` or `auto_pad`.
    output : tuple of int
        Number of windows.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def reach(self) -> tuple[int, ...]:
        """How far the last window reaches past the end of each axis.

        Less than `after` if the stride leaves a rest, more if `ceil_mode` lets windows hang over.
        """
        spans = zip(self.size, self.before, self.output, self.strides, self.extents, strict=True)
        return tuple(
            max(0, (count - 1) * stride + extent - before - size)
            for size, before, count, stride, extent in spans
        )

    @property
    def extents(self) -> tuple[int, ...]:
        """Elements from the first to the last of a window."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> tuple[int, ...]:
        """The padding with which every window fits exactly, ends after beginnings."""
        return (*self.before, *self.reach)

    def positions(self, axis: int) -> np.ndarray:
        """Input coordinates along an axis, shape (output, kernel); padding lies out of range."""
        first = np.arange(self.output[axis]) * self.strides[axis] - self.before[axis]
        within = np.arange(self.kernel[axis]) * self.dilations[axis]
        return first[:, np.newaxis] + within

    def counts(self, *, padding: bool) -> np.ndarray:
        """Number of elements in each window, with or without padding, shape `output`."""
        inside = []
        for axis, size in enumerate(self.size):
            low = -self.before[axis] if padding else 0
            high = size + self.after[axis] if padding else size
            place = self.positions(axis)
            inside.append(((place >= low) & (place < high)).sum(axis=1))
        return functools.reduce(np.multiply.outer, inside)


def spatial_attribute(name, value, rank, *, default=1, least=1, length=None):
    """Return a per-axis attribute as a tuple, checked; its default where the model has none."""
    length = rank if length is None else length
    if value is None:
        return (default,) * length
    value = tuple(int(v) for v in value)
    if len(value) != length or any(v < least for v in value):
        raise AttributeValueError(name, value, f"{length} values, each at least {least}")
    return value


def kernel_of(x_shape, w_shape, kernel_shape):
    """Return the kernel of filters, checked against the input and against `kernel_shape`."""
    if len(w_shape) != len(x_shape) or len(x_shape) < 3:
        raise AttributeValueError("W", w_shape, f"filters for an input of shape {x_shape}")
    kernel = tuple(w_shape[2:])
    if kernel_shape is not None and tuple(kernel_shape) != kernel:
        raise AttributeValueError("kernel_shape", tuple(kernel_shape), f"{kernel}, as W has it")
    return kernel


def place_windows(
    size, kernel_shape, *, strides=None, dilations=None, pads=None, auto_pad="NOTSET", ceil_mode=0
) -> Windows:
    """Place windows over spatial axes of the given sizes, as Conv and the pools have it.

    Raises
    ------
    AttributeValueError
        An attribute has a wrong length or value, or no window fits.
    """
    size, rank = tuple(size), len(size)
    kernel = spatial_attribute("kernel_shape", kernel_shape, rank)
    strides = spatial_attribute("strides", strides, rank)
    dilations = spatial_attribute("dilations", dilations, rank)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output = [-(-n // s) for n, s in zip(size, strides, strict=True)]
        rows = zip(size, output, strides, extents, strict=True)
        total = [max(0, (count - 1) * s + e - n) for n, count, s, e in rows]
        small = [t // 2 for t in total]
        large = [t - half for t, half in zip(total, small, strict=True)]
        before, after = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    elif auto_pad in ("NOTSET", "VALID", ""):
        stated = pads if auto_pad != "VALID" else None
        ends = spatial_attribute("pads", stated, rank, default=0, least=0, length=2 * rank)
        before, after = ends[:rank], ends[rank:]
        ceil_mode = ceil_mode and auto_pad != "VALID"
        output = []
        for n, b, a, s, e in zip(size, before, after, strides, extents, strict=True):
            spare = n + b + a - e
            count = (-(-spare // s) if ceil_mode else spare // s) + 1
            # A window that would start in the padding after the end is left out.
            output.append(count - 1 if ceil_mode and (count - 1) * s >= n + b else count)
    else:
        raise AttributeValueError("auto_pad", auto_pad, "NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    if any(count < 1 for count in output):
        raise AttributeValueError(
            "kernel_shape", kernel, f"windows that fit into {size} with its padding"
        )
    return Windows(size, kernel, strides, dilations, tuple(before), tuple(after), tuple(output))


def padded(x, windows, fill):
    """Pad an array (N, C, *size) so that every window fits."""
    if not any(windows.pads):
        return x
    ends = zip(windows.before, windows.reach, strict=True)
    return np.pad(x, [(0, 0), (0, 0), *ends], constant_values=fill)


def window_parts(x, windows, axis):
    """Views of a padded array: the first element of every window along a spatial axis, and so on.

    Combining the parts along one spatial axis after the other combines whole windows.
    """
    last = (windows.output[axis] - 1) * windows.strides[axis] + 1
    parts = []
    for start in range(0, windows.extents[axis], windows.dilations[axis]):
        cut = [slice(None)] * x.ndim
        cut[2 + axis] = slice(start, start + last, windows.strides[axis])
        parts.append(x[tuple(cut)])
    return parts


def window_sums(x, windows):
    """Sum of the elements of every window of an array (N, C, *size)."""
    return reduced(x, windows, np.add, 0)


def reduced(x, windows, ufunc, empty):
    """Combine the elements of every window of an array (N, C, *size), padding left out.

    One spatial axis after the other, the first one first: its parts are whole rows. This is done
    for as many images at a time as a cache holds.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Combines two arrays, as a maximum or a sum does.
    empty : number
        The result for a window of padding alone, neutral to the function.
    """
    y = np.empty((*x.shape[:2], *windows.output), dtype=x.dtype)
    each = max(1, _CHUNK // max(x[:1].nbytes, 1))
    for start in range(0, len(x), each):
        part = x[start : start + each]
        for axis in range(windows.rank - 1):
            part = _reduced_along(part, windows, axis, ufunc, empty)
        _reduced_along(part, windows, windows.rank - 1, ufunc, empty, y[start : start + each])
    return y


def _reduced_along(x, windows, axis, ufunc, empty, out=None):
    """Combine along one spatial axis; no padded copy is made, as each part says where it ends."""
    shape, place = list(x.shape), 2 + axis
    whole, partial = _parts(
        shape[place],
        windows.kernel[axis],
        windows.strides[axis],
        windows.dilations[axis],
        windows.before[axis],
        windows.output[axis],
    )
    lead = (slice(None),) * place
    if out is None:
        shape[place] = windows.output[axis]
        out = np.empty(shape, dtype=x.dtype)
    if len(whole) > 1:
        ufunc(x[(*lead, whole[0])], x[(*lead, whole[1])], out=out)
    elif whole:
        out[...] = x[(*lead, whole[0])]
    else:
        out[...] = empty
    for source in whole[2:]:
        ufunc(out, x[(*lead, source)], out=out)
    for to, source in partial:
        some = out[(*lead, to)]
        ufunc(some, x[(*lead, source)], out=some)
    return out


@functools.lru_cache(maxsize=1024)
def _parts(size, kernel, stride, dilation, before, count):
    """Slices of an axis with the first element of every window, the second, and so on.

    Returns
    -------
    tuple of list
        Slices that have an element for every window; for the others, two slices: of windows, and
        of their elements.
    """
    whole, partial = [], []
    for first in range(-before, kernel * dilation - before, dilation):
        low = max(0, -(first // stride))
        high = min(count, (size - 1 - first) // stride + 1)
        if low < high:
            source = slice(first + low * stride, first + (high - 1) * stride + 1, stride)
            if high - low == count:
                whole.append(source)
            else:
                partial.append((slice(low, high), source))
    return whole, partial
