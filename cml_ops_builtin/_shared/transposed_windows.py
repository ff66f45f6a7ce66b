"""Windows of transposed convolutions: where every input element adds to, by ONNX's attributes."""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.windows import kernel_of, spatial_attribute

__all__ = ["Layout", "divided", "place_results"]


@attrs.frozen(slots=True)
class Layout:
    """Which part of the whole result, without padding, is the output; zeros follow its end."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    whole: tuple[int, ...]
    skip: tuple[int, ...]
    output: tuple[int, ...]

    def cut(self, whole):
        spans = list(zip(self.skip, self.output, self.whole, strict=True))
        widths = [(0, max(0, skip + size - all_)) for skip, size, all_ in spans]
        if any(map(any, widths)):
            whole = np.pad(whole, [(0, 0), (0, 0), *widths])
        return whole[(..., *(slice(skip, skip + size) for skip, size, _ in spans))]


def place_results(
    x_shape,
    w_shape,
    *,
    group,
    kernel_shape,
    strides,
    dilations,
    pads,
    auto_pad,
    output_padding,
    output_shape,
):
    kernel = kernel_of(x_shape, w_shape, kernel_shape)
    size, rank = x_shape[2:], len(x_shape) - 2
    if w_shape[0] != x_shape[1]:
        raise AttributeValueError("W", w_shape, f"filters for {x_shape[1]} channels")
    if group < 1 or x_shape[1] % group:
        raise AttributeValueError("group", group, f"a divisor of {x_shape[1]}")
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""):
        raise AttributeValueError("auto_pad", auto_pad, "NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    strides = spatial_attribute("strides", strides, rank)
    dilations = spatial_attribute("dilations", dilations, rank)
    extra = spatial_attribute("output_padding", output_padding, rank, default=0, least=0)
    rows = zip(size, strides, kernel, dilations, strict=True)
    whole = tuple((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in rows)
    if output_shape is None and auto_pad.startswith("SAME"):
        output_shape = [n * s for n, s in zip(size, strides, strict=True)]
    if output_shape is not None:
        output = spatial_attribute("output_shape", tuple(output_shape)[-rank:], rank)
        total = [max(0, w + e - n) for w, e, n in zip(whole, extra, output, strict=True)]
        # What cannot be halved goes to the end for SAME_UPPER and to the beginning otherwise.
        skip = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
    else:
        stated = pads if auto_pad != "VALID" else None
        ends = spatial_attribute("pads", stated, rank, default=0, least=0, length=2 * rank)
        skip = ends[:rank]
        rows = zip(whole, extra, skip, ends[rank:], strict=True)
        output = tuple(w + e - before - after for w, e, before, after in rows)
        if any(n < 1 for n in output):
            raise AttributeValueError("pads", ends, f"less padding than the result {whole} has")
    return Layout(strides, dilations, whole, tuple(skip), output)


def divided(w, group, strides, dilations):
    """Yield the phases along each axis and their filters, (M, C / group, *kernel) as Conv's are."""
    filters = w.reshape(group, -1, *w.shape[1:]).swapaxes(1, 2)
    filters = filters.reshape(group * w.shape[1], -1, *w.shape[2:])
    axes = map(_phases, w.shape[2:], strides, dilations)
    for phases in itertools.product(*axes):
        yield phases, filters[(..., *(slice(p.first, None, p.every) for p in phases))]


@attrs.frozen(slots=True)
class _Phase:
    """Filter elements `first`, `first + every` …; their outputs begin at `start`."""

    first: int
    every: int
    dilation: int
    start: int


def _phases(kernel, stride, dilation):
    """Part the filter elements along an axis by which outputs they add to.

    Element k adds to the outputs `stride * i + dilation * k`, for every input element i. Two of
    them meet the same outputs if they lie a multiple of `stride / gcd` apart, and from one to the
    next i changes by `dilation / gcd`.
    """
    common = math.gcd(stride, dilation)
    every = stride // common
    return [
        _Phase(first, every, dilation // common, first * dilation)
        for first in range(min(kernel, every))
    ]
