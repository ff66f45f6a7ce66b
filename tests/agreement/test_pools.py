"""Pools: over windows, over whole images, over regions of interest, and what undoes them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import batch, finite, images, placed, windows
from tests.agreement.stand_ins import as_of_opset
from tests.agreement.values import FLOATS, HALF, optional, shape

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


#: onnxruntime takes the largest of -inf to be the lowest finite number, and the largest of a
#: number and NaN to be either.
UP = (np.inf,)


def pool(draw, dtype, place, attributes, *, n_outputs=1, **bounds):
    image = (batch(draw), draw(st.integers(1, 3)), *place.size)
    stated = {"kernel_shape": list(place.kernel), **place.placing, **attributes}
    return Node([images(draw, dtype, image, **bounds)], stated, n_outputs)


def average_pool(draw, dtype, revision):
    place = windows(draw, dilated=revision >= 19, narrow_pads=True)
    attributes = {"count_include_pad": draw(st.integers(0, 1))}
    if revision >= 10:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    return pool(draw, dtype, place, optional(draw, **attributes))


def max_pool(draw, dtype, revision):
    place = windows(draw, dilated=revision >= 10, narrow_pads=True)
    attributes = {}
    if revision >= 8:
        attributes["storage_order"] = draw(st.integers(0, 1))
    if revision >= 10:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    n_outputs = draw(st.integers(1, 2)) if revision >= 8 else 1
    attributes = optional(draw, **attributes)
    node = pool(draw, dtype, place, attributes, n_outputs=n_outputs, broken=UP)
    assume(not has_empty_windows(node))
    return node


def has_empty_windows(node):
    """Whether a dilated window skips all elements, so that it has no largest one."""
    axes, _ = placed(node)
    sizes = node.inputs[0].shape[2:]
    return not all(
        any(0 <= i < n for i in span) for axis, n in zip(axes, sizes, strict=True) for span in axis
    )


def lp_pool(draw, dtype, revision):
    place = windows(draw, dilated=revision >= 18, narrow_pads=True)
    attributes = {"p": draw(st.integers(1, 4))}
    if revision >= 18:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    return pool(draw, dtype, place, optional(draw, **attributes))


def whole(draw, dtype, revision, **bounds):
    size = (batch(draw), *shape(draw, 2, 4, min_size=1))
    return Node([images(draw, dtype, size, **bounds)])


def global_max_pool(draw, dtype, revision):
    return whole(draw, dtype, revision, broken=UP)


def global_lp_pool(draw, dtype, revision):
    return Node(whole(draw, dtype, revision).inputs, optional(draw, p=draw(st.integers(1, 4))))


def max_unpool(draw, dtype, revision):
    place = windows(draw, dilated=False, auto_pad=False, narrow_pads=True)
    outer, rank = (draw(st.integers(1, 2)), draw(st.integers(1, 2))), place.rank
    x = finite(draw, dtype, (*outer, *place.size))
    rows = zip(place.size, place.kernel, place.strides, strict=True)
    inner = [(n - 1) * s + k for n, k, s in rows]
    attributes = {"kernel_shape": list(place.kernel), **place.placing}
    if place.pads is not None:
        less = [n - a - b for n, a, b in zip(inner, place.pads, place.pads[rank:], strict=False)]
        if min(less) > 0 and math.prod(less) >= math.prod(place.size):
            inner = less
        else:
            del attributes["pads"]
    rng = np.random.default_rng(draw(st.integers(0, 255)))
    places = rng.permutation(math.prod((*outer, *inner)))[: x.size].reshape(x.shape)
    inputs = [x, places]
    if draw(st.integers(0, 2)) == 2:
        inputs.append(np.array([*outer, *(n + draw(st.integers(0, 2)) for n in inner)]))
    return Node(inputs, attributes)


def regions(draw, dtype, size, count):
    """Draw regions of interest, some of them beyond the image or inside out."""
    corners = np.round(finite(draw, np.float32, (count, 4), low=-4, high=9) * 8) / 8
    if draw(st.booleans()):
        corners[:, 2:] = corners[:, :2] + np.abs(corners[:, 2:])
    numbers = np.random.default_rng(draw(st.integers(0, 255))).integers(0, size[0], count)
    return corners.astype(dtype), numbers


def scale_of(draw):
    return draw(st.sampled_from([0.25, 0.5, 1.0, 2.0]))


def max_roi_pool(draw, dtype, revision):
    size = (draw(st.integers(1, 2)), *shape(draw, 3, 3, min_size=1, max_size=6))
    corners, numbers = regions(draw, dtype, size, draw(st.integers(0, 3)))
    rois = np.concatenate([numbers[:, np.newaxis].astype(dtype), corners], axis=1)
    pooled = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    attributes = optional(draw, spatial_scale=scale_of(draw))
    # Each of them is an element in float32 too.
    x = finite(draw, np.float32, size).astype(dtype)
    return Node([x, rois], {"pooled_shape": pooled, **attributes})


def roi_align(draw, dtype, revision):
    size = (draw(st.integers(1, 2)), *shape(draw, 3, 3, min_size=1, max_size=6))
    corners, numbers = regions(draw, dtype, size, draw(st.integers(0, 3)))
    attributes = {
        "mode": draw(st.sampled_from(["avg", "max"])),
        "output_height": draw(st.integers(1, 3)),
        "output_width": draw(st.integers(1, 3)),
        "sampling_ratio": draw(st.integers(0, 3)),
        "spatial_scale": scale_of(draw),
    }
    if revision >= 16:
        modes = ["half_pixel", "output_half_pixel"]
        attributes["coordinate_transformation_mode"] = draw(st.sampled_from(modes))
    return Node([finite(draw, dtype, size), corners, numbers], optional(draw, **attributes))


def by_window(node, reduce):
    """Reduce each window of a pool, written out by the specification.

    `reduce` gets the places of the elements within an image (flat), and how many elements the
    window has with padding.
    """
    x = node.inputs[0]
    axes, whole = placed(node)
    result = np.empty((*x.shape[:2], *map(len, axes)), dtype=object)
    flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    numbers = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
    for window in np.ndindex(*map(len, axes)):
        spans = [axis[k] for axis, k in zip(axes, window, strict=True)]
        inside = [
            [i for i in span if 0 <= i < n] for span, n in zip(spans, x.shape[2:], strict=True)
        ]
        count = math.prod(
            sum(low <= i < high for i in span)
            for span, (low, high) in zip(spans, whole, strict=True)
        )
        own = numbers[np.ix_(*inside)].reshape(-1)
        for image in np.ndindex(*x.shape[:2]):
            result[(*image, *window)] = reduce(flat[image][own], own, count)
    return result


def mean_of_windows(node, case):
    def mean(values, own, count):
        total = values.astype(np.float64).sum()
        # The mean of no elements is zero, in both runtimes.
        return total / max(1, count if node.attributes.get("count_include_pad") else len(own))

    return (by_window(node, mean).astype(case.dtype),)


def norm_of_windows(node, case):
    p = node.attributes.get("p", 2)

    def norm(values, own, count):
        return (np.abs(values.astype(np.float64)) ** p).sum() ** (1 / p)

    return (by_window(node, norm).astype(case.dtype),)


def largest_of_windows(node, case):
    x = node.inputs[0]
    largest = by_window(node, lambda values, own, count: values.max()).astype(case.dtype)
    if node.n_outputs == 1:
        return (largest,)
    where = by_window(node, lambda values, own, count: own[values.argmax()]).astype(np.int64)
    size = x.shape[2:]
    if node.attributes.get("storage_order"):
        coordinates = np.unravel_index(where, size)
        where = np.ravel_multi_index(coordinates, size, order="F")
    images = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(size))
    return largest, where + images * math.prod(size)


def norm_of_images(node, case):
    x, p = node.inputs[0], node.attributes.get("p", 2)
    total = (np.abs(x.astype(np.float64)) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
    return ((total ** (1 / p)).astype(case.dtype),)


def largest_of_images(node, case):
    x = node.inputs[0]
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def is_sum_of_samples(node, case):
    """Whether onnxruntime has the largest of sums, as it does before revision 22."""
    stated = node.attributes
    return stated.get("mode") == "max" and stated.get("sampling_ratio") != 1


def aligned(node, case):
    if case.revision < 22 or is_sum_of_samples(node, case):
        return None
    try:
        return as_of_opset(21, np.float32)(node, case)
    except Exception as error:
        # As in its own revisions: regions inside out.
        assert "Integer overflow" in str(error)
        return None


def is_same(node, case):
    return node.attributes.get("auto_pad", "").startswith("SAME")


def is_dilated_to_same(node, case):
    return is_same(node, case) and "dilations" in node.attributes


def leaves_out(node, case):
    """Whether windows that are padded to the same size are narrower than their stride."""
    stated = node.attributes
    return is_same(node, case) and any(
        s > (k - 1) * d + 1
        for s, k, d in zip(
            stated.get("strides", ()),
            stated["kernel_shape"],
            stated.get("dilations", [1] * len(stated["kernel_shape"])),
            strict=False,
        )
    )


def is_ceiled_valid(node, case):
    return node.attributes.get("auto_pad") == "VALID" and node.attributes.get("ceil_mode")


WINDOW_FAULTS = (
    Fault("onnxruntime", "pads to the same size without dilations", when=is_dilated_to_same),
    Fault("onnxruntime", "pads by a negative number", when=leaves_out),
    Fault("onnxruntime", "rounds up for VALID too", when=is_ceiled_valid),
    Fault("reference", "lays windows otherwise: auto_pad, ceil_mode and dilations"),
)

OPERATORS = {
    "AveragePool": Operator(
        average_pool, FLOATS + HALF, faults=WINDOW_FAULTS, by_hand=mean_of_windows
    ),
    "GlobalAveragePool": Operator(whole, FLOATS + HALF),
    "GlobalLpPool": Operator(global_lp_pool, FLOATS + HALF, by_hand=norm_of_images),
    "GlobalMaxPool": Operator(
        global_max_pool,
        FLOATS + HALF,
        faults=[Fault("reference", "drops the axes")],
        by_hand=largest_of_images,
    ),
    "LpPool": Operator(lp_pool, FLOATS + HALF, faults=WINDOW_FAULTS, by_hand=norm_of_windows),
    "MaxPool": Operator(
        max_pool, FLOATS + HALF + BYTES, faults=WINDOW_FAULTS, by_hand=largest_of_windows
    ),
    "MaxRoiPool": Operator(
        max_roi_pool, FLOATS + HALF, by_hand=as_of_opset(21, np.float32), tolerance=0
    ),
    "MaxUnpool": Operator(
        max_unpool,
        FLOATS + HALF,
        faults=[
            Fault(
                "onnxruntime",
                "indices are of the stated shape",
                when=lambda node, case: len(node.inputs) > 2,
            )
        ],
    ),
    "RoiAlign": Operator(
        roi_align,
        FLOATS + HALF,
        faults=[
            Fault(
                "onnxruntime",
                "the largest is of sums before revision 22",
                when=lambda node, case: case.revision < 22 and is_sum_of_samples(node, case),
            ),
            Fault(
                "reference",
                "places samples of revision 10 as those of later ones, and in float16",
                when=lambda node, case: case.revision == 10 or case.dtype in HALF,
            ),
            Fault("onnxruntime", "counts samples of regions inside out", says="Integer overflow"),
        ],
        by_hand=aligned,
    ),
}


@agreement(OPERATORS)
def test_pools(case):
    case.check()
