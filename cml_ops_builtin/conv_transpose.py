"""ConvTranspose: the transpose of a convolution; every input element adds a copy of the filter.

Under encryption X is encrypted and W clear. Outputs whose positions leave the same remainder when
divided by the strides are an ordinary convolution of X with every stride-th part of the flipped
filters, so the product costs no lookup; the parts are then interleaved.
"""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    conv,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.windows import kernel_of, spatial_attribute


@attrs.frozen(slots=True)
class _Layout:
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


def _layout(
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
    return _Layout(strides, dilations, whole, tuple(skip), output)


def conv_transpose(x, w, b=None, *, group, **attributes):
    layout = _layout(x.shape, w.shape, group=group, **attributes)
    count, channels, *size = x.shape
    maps, kernel = w.shape[1], w.shape[2:]
    columns = x.reshape(count, group, channels // group, math.prod(size))
    filters = w.reshape(group, channels // group, maps * math.prod(kernel)).swapaxes(1, 2)
    # (N, group, maps * kernel, input): what each input element adds, and where.
    shares = np.matmul(filters, columns).reshape(count, group * maps, *kernel, *size)
    whole = np.zeros((count, group * maps, *layout.whole), dtype=shares.dtype)
    for place in itertools.product(*map(range, kernel)):
        rows = zip(place, layout.dilations, layout.strides, size, strict=True)
        spots = tuple(slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, s, n in rows)
        whole[(slice(None), slice(None), *spots)] += shares[(slice(None), slice(None), *place)]
    y = layout.cut(whole)
    if b is not None:
        y = y + b.reshape(-1, *(1,) * len(size))
    return (np.ascontiguousarray(y, dtype=x.dtype),)


class QuantizedConvTranspose:
    """ConvTranspose with clear filters and bias."""

    def __call__(self, ctx: LoweringContext, x, w, b=None, *, group, **attributes):
        for name, tensor in (("W", w), ("B", b)):
            if isinstance(tensor, EncryptedTensor):
                ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")
        layout = _layout(x.shape, w.shape, group=group, **attributes)
        rank = len(layout.output)
        # (C, M / group, *kernel) becomes (M, C / group, *kernel), as Conv has it.
        filters = w.reshape(group, -1, *w.shape[1:]).swapaxes(1, 2)
        filters = filters.reshape(group * w.shape[1], -1, *w.shape[2:])
        parts, places = [], []
        for phases in itertools.product(
            *map(_phases, w.shape[2:], layout.strides, layout.dilations)
        ):
            part = filters[(..., *(slice(p.first, None, p.every) for p in phases))]
            dilations = tuple(p.dilation for p in phases)
            ends = [(n - 1) * d for n, d in zip(part.shape[2:], dilations, strict=True)]
            part = conv(
                ctx,
                x,
                np.flip(part, axis=tuple(range(2, 2 + rank))),
                strides=(1,) * rank,
                dilations=dilations,
                pads=(*ends, *ends),
                group=group,
            )
            rows = zip(phases, part.shape[2:], layout.strides, strict=True)
            places.append(tuple(slice(p.start, p.start + (n - 1) * s + 1, s) for p, n, s in rows))
            parts.append(part)

        def interleave(*numbers):
            whole = np.zeros((*numbers[0].shape[:2], *layout.whole), dtype=np.int64)
            for place, number in zip(places, numbers, strict=True):
                whole[(..., *place)] = number
            return layout.cut(whole)

        (y,) = move(ctx, interleave, parts)
        if b is not None:
            y = add(ctx, y, b.reshape(-1, *(1,) * rank))
        return (y,)


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


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    return OpPlugin(
        schema=OpSchema("ConvTranspose", since_versions=(1, 11, 22), kind=OpKind.LINEAR),
        numpy_op=conv_transpose,
        quantized_op=QuantizedConvTranspose(),
        examples=(
            OpExample(
                (uniform(1, 2, 3), uniform(2, 1, 3), uniform(1)),
                {"strides": [2], "pads": [1, 0], "output_padding": [1]},
                name="one dimension, stride, padding and bias",
            ),
            OpExample(
                (uniform(1, 1, 2, 2), uniform(1, 2, 2, 2)),
                {"strides": [2, 1], "auto_pad": "SAME_UPPER"},
                name="two dimensions, padded to the strides' multiple",
            ),
            OpExample(
                (uniform(1, 2, 3), uniform(2, 1, 2)),
                {"group": 2, "dilations": [2], "pads": [1, 0]},
                name="two groups, dilated",
            ),
            OpExample(
                (
                    np.array([[[1.0, 2.0, -3.0]]], dtype=np.float32),
                    np.array([[[1.0, -1.0]]], dtype=np.float32),
                ),
                {"strides": [3], "output_shape": [7]},
                outputs=(np.array([[[-1.0, 0.0, 2.0, -2.0, 0.0, -3.0, 3.0]]], dtype=np.float32),),
                name="to a stated shape",
            ),
        ),
        restrictions="W and B must be clear",
    )
