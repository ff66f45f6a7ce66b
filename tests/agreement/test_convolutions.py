"""Convolutions, and what undoes them."""

from __future__ import annotations

import math

import attrs
import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import batch, finite, group_of, images, sized, windows
from tests.agreement.values import FLOATS, HALF, SIGNED, UNSIGNED, optional


def filtered(draw, place):
    """Draw the sizes of images and filters, and the attributes of a convolution."""
    group, depth, maps = group_of(draw)
    image = (batch(draw), group * depth, *place.size)
    filters = (group * maps, depth, *place.kernel)
    attributes = {**place.placing, **sized(draw, place.kernel)}
    return image, filters, attributes if group == 1 else {**attributes, "group": group}


def conv(draw, dtype, revision):
    image, filters, attributes = filtered(draw, windows(draw))
    inputs = [images(draw, dtype, image), finite(draw, dtype, filters)]
    if draw(st.booleans()):
        inputs.append(finite(draw, dtype, filters[:1]))
    return Node(inputs, attributes, constants=draw(st.sampled_from([(), (1, 2)])))


def conv_transpose(draw, dtype, revision):
    place = windows(draw)
    group, depth, maps = group_of(draw)
    strides = place.strides
    if place.auto_pad.startswith("SAME"):
        # The result is cut to this size; where it is smaller, ONNX does not say what follows it.
        strides = tuple(map(min, strides, place.extents))
    x = images(draw, dtype, (batch(draw), group * depth, *place.size))
    w = finite(draw, dtype, (group * depth, maps, *place.kernel))
    attributes = {**attrs.evolve(place, strides=strides).placing, **sized(draw, place.kernel)}
    if group > 1:
        attributes["group"] = group
    rows = zip(place.size, place.extents, strides, strict=True)
    whole = [(n - 1) * s + e for n, e, s in rows]
    if draw(st.integers(0, 2)) == 2:
        # onnxruntime lets it be as large as the dilation only where the stride is too.
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
    if place.pads is not None:
        # At least one element is left.
        most = [(size - 1) // 2 for size in whole]
        attributes["pads"] = [*map(min, place.pads, [*most, *most])]
    elif draw(st.integers(0, 3)) == 3:
        attributes["output_shape"] = [draw(st.integers(1, n)) for n in whole]
    inputs = [x, w]
    if draw(st.booleans()):
        inputs.append(finite(draw, dtype, (group * maps,)))
    return Node(inputs, attributes, constants=draw(st.sampled_from([(), (1, 2)])))


def transposed(node, case):
    """ConvTranspose written out: each element adds a copy of the filter."""
    x, w, *rest = (array.astype(np.float64) for array in node.inputs)
    stated, rank = node.attributes, x.ndim - 2
    group, ones, none = stated.get("group", 1), [1] * rank, [0] * rank
    strides, dilations = stated.get("strides", ones), stated.get("dilations", ones)
    extra, auto_pad = stated.get("output_padding", none), stated.get("auto_pad", "NOTSET")
    depth, maps, kernel = x.shape[1] // group, w.shape[1], w.shape[2:]
    rows = zip(x.shape[2:], strides, kernel, dilations, extra, strict=True)
    whole = [(n - 1) * s + (k - 1) * d + 1 + e for n, s, k, d, e in rows]
    y = np.zeros((len(x), group * maps, *whole))
    for image, channel, *place in np.ndindex(*x.shape):
        for tap in np.ndindex(*kernel):
            rows = zip(place, strides, tap, dilations, strict=True)
            spot = tuple(i * s + t * d for i, s, t, d in rows)
            first = channel // depth * maps
            value = x[(image, channel, *place)] * w[(channel, slice(None), *tap)]
            y[(image, slice(first, first + maps), *spot)] += value
    wanted = stated.get("output_shape")
    if auto_pad.startswith("SAME") and wanted is None:
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    pads = stated.get("pads", none * 2) if auto_pad in ("NOTSET", "") else none * 2
    if wanted is not None:
        total = [n - size for n, size in zip(whole, wanted, strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if auto_pad == "SAME_UPPER" else large + small
    spans = zip(whole, pads[:rank], pads[rank:], strict=True)
    y = y[(..., *(slice(before, n - after) for n, before, after in spans))]
    if rest:
        y = y + rest[0].reshape(-1, *ones)
    return (y.astype(case.dtype),)


def conv_integer(draw, dtype, revision):
    image, filters, attributes = filtered(draw, windows(draw, ranks=(1, 2)))
    weights = draw(st.sampled_from(EIGHT_BITS))
    inputs = [finite(draw, dtype, image), finite(draw, weights, filters)]
    if draw(st.booleans()):
        each = draw(st.sampled_from([(), (1,), filters[:1]]))
        zeros = [finite(draw, dtype, ()), finite(draw, weights, each)]
        inputs += zeros[: draw(st.integers(1, 2))]
    return Node(inputs, attributes)


def positive(draw, shape):
    return finite(draw, np.float32, shape, low=0.5, high=2) / np.float32(8)


def q_linear_conv(draw, dtype, revision):
    image, filters, attributes = filtered(draw, windows(draw, ranks=(1, 2)))
    weights = draw(st.sampled_from(EIGHT_BITS)) if dtype.kind == "u" else dtype
    each = draw(st.sampled_from([(), filters[:1]]))
    inputs = [
        *(finite(draw, dtype, image), positive(draw, ()), finite(draw, dtype, ())),
        *(finite(draw, weights, filters), positive(draw, each), finite(draw, weights, each)),
        *(positive(draw, ()) * np.float32(32), finite(draw, dtype, ())),
    ]
    if draw(st.booleans()):
        inputs.append(finite(draw, np.int32, filters[:1]))
    return Node(inputs, attributes)


def deform_conv(draw, dtype, revision):
    place = windows(draw, ranks=(2,), auto_pad=False)
    image, filters, attributes = filtered(draw, place)
    groups = draw(st.sampled_from([n for n in (1, 2, 3) if image[1] % n == 0]))
    if groups > 1:
        attributes["offset_group"] = groups
    cells = groups * math.prod(place.kernel)
    shape = (image[0], cells * place.rank, *place.output)
    # Offsets are a multiple of 1/8, so that float16 holds the places exactly.
    offset = np.round(finite(draw, np.float32, shape, low=-4, high=4) * 8) / 8
    inputs = [finite(draw, dtype, image), finite(draw, dtype, filters), offset.astype(dtype)]
    bias = finite(draw, dtype, filters[:1]) if draw(st.booleans()) else None
    mask = finite(draw, dtype, (image[0], cells, *place.output)) if draw(st.booleans()) else None
    inputs += [bias, mask] if mask is not None else [bias] if bias is not None else []
    return Node(inputs, attributes)


def causal_conv_with_state(draw, dtype, revision):
    count, channels, length = draw(st.tuples(*[st.integers(1, 3)] * 3))
    size = draw(st.integers(1, 4))
    inputs = [images(draw, dtype, (count, channels, length))]
    inputs.append(finite(draw, dtype, (channels, 1, size)))
    bias = finite(draw, dtype, (channels,)) if draw(st.booleans()) else None
    past = finite(draw, dtype, (count, channels, size - 1)) if draw(st.booleans()) else None
    inputs += [bias, past] if past is not None else [bias] if bias is not None else []
    activation = draw(st.sampled_from(["none", "silu", "swish"]))
    return Node(inputs, optional(draw, activation=activation), 2)


def col2_im(draw, dtype, revision):
    place = windows(draw, ranks=(2, 3), auto_pad=False)
    channels = draw(st.integers(1, 2))
    columns = (batch(draw), channels * math.prod(place.kernel), math.prod(place.output))
    x = images(draw, dtype, columns, low=-9, high=9)
    sizes = [np.array(place.size), np.array(place.kernel)]
    return Node([x, *sizes], place.placing, constants=draw(st.sampled_from([(), (1, 2)])))


EIGHT_BITS = (np.dtype(np.uint8), np.dtype(np.int8))

OPERATORS = {
    "CausalConvWithState": Operator(causal_conv_with_state, FLOATS + HALF),
    "Col2Im": Operator(
        col2_im,
        FLOATS + HALF + SIGNED[2:] + UNSIGNED[:1],
        faults=[
            Fault(
                "onnxruntime",
                "takes wrong rows of dilated blocks in three dimensions",
                when=lambda node, case: len(node.inputs[1]) > 2 and "dilations" in node.attributes,
            )
        ],
    ),
    "Conv": Operator(
        conv,
        FLOATS + HALF,
        faults=[
            Fault(
                "reference",
                "multiplies infinities by zeros between the elements of dilated filters",
                when=lambda node, case: (
                    "dilations" in node.attributes and not np.isfinite(node.inputs[0]).all()
                ),
            )
        ],
    ),
    "ConvInteger": Operator(conv_integer, EIGHT_BITS),
    "ConvTranspose": Operator(
        conv_transpose,
        FLOATS + HALF,
        faults=[Fault("reference", "leaves out biases, groups and pads at times")],
        by_hand=transposed,
    ),
    "DeformConv": Operator(deform_conv, FLOATS + HALF),
    "QLinearConv": Operator(
        q_linear_conv,
        EIGHT_BITS,
        faults=[
            Fault(
                "reference",
                "broadcasts a zero point for each filter with the last axis",
                when=lambda node, case: node.inputs[5].ndim == 1,
            )
        ],
    ),
}


@agreement(OPERATORS)
def test_convolutions(case):
    case.check()
