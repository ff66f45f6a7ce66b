"""Images resized, and sampled at the positions of a grid."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import batch, finite
from tests.agreement.values import FLOATS, HALF, optional, shape

BYTES = (np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int32))
#: Ratios that float32 holds.
RATIOS = st.sampled_from([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.25, 3.0])


#: Ratios by which integers of ordinary size come to exact sums, halves among them.
DYADIC = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])


def inner_axes(draw, mode):
    """Draw a shape and how many of its first axes keep their size, as onnxruntime knows them."""
    ranks = [(2, 0), (4, 2)] if mode == "cubic" else [(2, 0), (4, 2), (3, 0), (5, 2), (1, 0)]
    rank, kept = draw(st.sampled_from(ranks if mode != "nearest" else [*ranks, (3, 1), (4, 0)]))
    return shape(draw, rank, rank, min_size=1, max_size=5), kept


def ratios(draw, dtype, size, kept):
    """Draw a ratio for each axis; at least one element is left."""
    known = DYADIC if dtype.kind in "iu" else RATIOS
    drawn = [1.0] * kept + [draw(known) for _ in size[kept:]]
    return np.float32([1.0 if r * n < 1 else r for r, n in zip(drawn, size, strict=True)])


def enlarging(draw, dtype):
    """Draw an image and the ratios of Upsample."""
    mode = draw(st.sampled_from(["nearest", "linear"]))
    size, kept = inner_axes(draw, mode)
    scales = np.maximum(ratios(draw, dtype, size, kept), np.float32(1))
    return finite(draw, dtype, size), scales, optional(draw, mode=mode)


def upsample(draw, dtype, revision):
    x, scales, attributes = enlarging(draw, dtype)
    if revision == 7:
        return Node([x], {"scales": scales.tolist(), **attributes})
    return Node([x, scales], attributes, constants=draw(st.sampled_from([(), (1,)])))


def resize(draw, dtype, revision):
    modes = ["nearest", "linear"] if revision == 10 else ["nearest", "linear", "cubic"]
    mode = draw(st.sampled_from(modes))
    size, kept = inner_axes(draw, mode)
    x = finite(draw, dtype, size)
    scales = ratios(draw, dtype, size, kept)
    if revision == 10:
        return Node([x, scales], {"mode": mode})
    # With these, coordinates are no sums of powers of two.
    uneven = mode == "nearest" or dtype.kind == "f"
    transformations = [
        "half_pixel",
        "pytorch_half_pixel",
        "asymmetric",
        *(["align_corners", "tf_crop_and_resize"] if uneven else []),
        *(["tf_half_pixel_for_nn"] if revision < 13 else []),
        *(["half_pixel_symmetric"] if revision >= 19 else []),
    ]
    stated = {
        "coordinate_transformation_mode": draw(st.sampled_from(transformations)),
        "nearest_mode": draw(
            st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        ),
        "cubic_coeff_a": draw(st.sampled_from([-0.5, -0.75])),
        "exclude_outside": draw(st.integers(0, 1)) if dtype.kind == "f" and mode == "cubic" else 0,
        "extrapolation_value": draw(st.sampled_from([0.0, -2.0])),
    }
    attributes = {"mode": mode, **optional(draw, **stated)}
    crops = attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    sizes = None
    if dtype.kind == "f" and draw(st.booleans()):
        sizes = np.array([*size[:kept], *(draw(st.integers(1, 7)) for _ in size[kept:])])
    axes = None
    if revision >= 18:
        if mode != "nearest" and draw(st.integers(0, 3)) == 3:
            attributes["antialias"] = 1
        if draw(st.booleans()):
            axes = draw(st.permutations(range(kept, len(size))))
            attributes["axes"] = [a - len(size) if draw(st.booleans()) else a for a in axes]
        if sizes is not None and axes is not None and draw(st.booleans()):
            policies = ["not_larger", "not_smaller", "stretch"]
            attributes["keep_aspect_ratio_policy"] = draw(st.sampled_from(policies))
    roi = None
    if crops:
        starts = [0.0] * kept + [draw(st.sampled_from([0.0, 0.25, -0.25])) for _ in size[kept:]]
        ends = [1.0] * kept + [draw(st.sampled_from([1.0, 0.75, 1.25])) for _ in size[kept:]]
        if axes is not None:
            starts, ends = ([row[a] for a in axes] for row in (starts, ends))
        roi = np.float32([*starts, *ends])
    elif revision < 13:
        roi = np.zeros(0, np.float32)
    if axes is not None:
        scales = scales[list(axes)]
        sizes = sizes if sizes is None else sizes[list(axes)]
    if sizes is None:
        return Node([x, roi, scales], attributes)
    return Node([x, roi, np.zeros(0, np.float32) if revision < 13 else None, sizes], attributes)


def grid_sample(draw, dtype, revision):
    names = ["bilinear", "nearest", "bicubic"] if revision == 16 else ["linear", "nearest", "cubic"]
    mode = draw(st.sampled_from(names))
    rank = 2 if revision == 16 or mode == "cubic" else draw(st.integers(2, 3))
    size = (batch(draw), draw(st.integers(1, 2)), *shape(draw, rank, rank, min_size=1))
    places = shape(draw, rank, rank, min_size=1, max_size=3)
    attributes = {
        "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": draw(st.integers(0, 1)),
    }
    grid = finite(draw, np.float32, (size[0], *places, rank)) / np.float32(2)
    x = finite(draw, dtype, size)
    if mode != "linear" or draw(st.booleans()):
        attributes["mode"] = mode
    return Node([x, grid.astype(dtype)], optional(draw, **attributes) | {"mode": mode})


def affine_grid(draw, dtype, revision):
    rank = draw(st.integers(2, 3))
    theta = finite(draw, dtype, (batch(draw), rank, rank + 1))
    spatial = shape(draw, rank, rank, min_size=1)
    size = np.array([len(theta), draw(st.integers(1, 2)), *spatial])
    return Node([theta, size], optional(draw, align_corners=draw(st.integers(0, 1))))


def read_early(node, case):
    """Upsample, and Resize of opset 10: element i of the result is read at i / scale."""
    if case.revision > 10:
        return None
    y = node.inputs[0].astype(np.float64)
    scales = node.attributes.get("scales") or node.inputs[1].tolist()
    for axis, (size, scale) in enumerate(zip(y.shape, scales, strict=True)):
        place = np.arange(int(size * scale)) / scale
        low = np.minimum(np.floor(place).astype(int), size - 1)
        high = np.minimum(np.ceil(place).astype(int), size - 1)
        share = (place - low).reshape(-1, *(1,) * (y.ndim - axis - 1)).clip(0, 1)
        if node.attributes.get("mode") != "linear":
            share = np.array(scale < 1)
        y = y.take(low, axis) * (1 - share) + y.take(high, axis) * share
    return (np.rint(y).astype(case.dtype) if case.dtype.kind in "iu" else y.astype(case.dtype),)


def affine(node, case):
    theta, spatial = node.inputs[0].astype(np.float64), node.inputs[1][2:].tolist()
    aligned = node.attributes.get("align_corners")
    axes = [
        [0.0] if n == 1 else np.linspace(-1, 1, n) * (1 if aligned else (n - 1) / n)
        for n in spatial
    ]
    places = np.meshgrid(*axes, indexing="ij")[::-1]
    points = np.stack([*places, np.ones(spatial)], axis=-1)
    return (np.einsum("nij,...j->n...i", theta, points).astype(case.dtype),)


def rounds_down(node, case):
    return case.dtype.kind in "iu" and node.attributes.get("mode", "nearest") != "nearest"


def lengths(node):
    """New lengths of the axes of Resize, before they are made whole, by the axes' lengths."""
    axes = node.attributes.get("axes", slice(None))
    sizes = np.array(node.inputs[0].shape)[axes]
    if node.inputs[2] is not None and node.inputs[2].size:
        return sizes * node.inputs[2], sizes
    return node.inputs[3], sizes


def keeps_shape(node, case):
    """Whether axes are stretched by less than an element."""
    size = np.array(node.inputs[0].shape)
    if case.revision >= 11:
        new, size = lengths(node)
        return (new != size).any() and (np.floor(new) == size).all()
    scales = np.float32(node.attributes.get("scales", node.inputs[-1]))
    return (scales != 1).any() and (np.floor(scales * size) == size).all()


def is_symmetric(node, case):
    return transforms(node, "half_pixel_symmetric")


def transforms(node, *names):
    return node.attributes.get("coordinate_transformation_mode") in names


def is_fractional(node, case):
    """Whether the ends of an axis depend on its new length, which a scale makes no whole number."""
    depends = transforms(node, "align_corners", "tf_crop_and_resize", "pytorch_half_pixel")
    keeps = node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    return case.revision > 10 and depends and (keeps or (lengths(node)[0] % 1 != 0).any())


def crops_what_stays(node, case):
    return transforms(node, "tf_crop_and_resize") and np.equal(*lengths(node)).any()


def is_one_of_pytorch(node, case):
    return transforms(node, "pytorch_half_pixel") and (np.floor(lengths(node)[0]) == 1).any()


def keeps_ratio_of_negative_axes(node, case):
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    return policy != "stretch" and min(node.attributes.get("axes", [0])) < 0


def is_lone_corner(node, case):
    return node.attributes.get("align_corners") and (node.inputs[1][2:] == 1).any()


def is_cubic_beyond_border(node, case):
    stated = node.attributes
    return "cubic" in stated["mode"] and stated.get("padding_mode") == "border"


TIES = "cml rounds coordinates to nine decimals, so that ties are ties"

LIMITS = (
    Fault("onnxruntime", "knows some ranks alone", says="mode only supports"),
    Fault("onnxruntime", "rounds integers toward zero", when=rounds_down),
    Fault("onnxruntime", "copies what keeps its shape", when=keeps_shape),
)

OPERATORS = {
    "AffineGrid": Operator(
        affine_grid,
        FLOATS + HALF,
        tolerance={"float16": 1e-2, "float64": 1e-6},
        why="the function that onnxruntime runs has steps in float32 or float16",
        faults=[
            Fault("onnxruntime", "divides by zero for a lone element", when=is_lone_corner),
            Fault("onnxruntime", "splits what has no axes", says="Split"),
            Fault("reference", "returns float32, and divides by zero"),
        ],
        by_hand=affine,
    ),
    "GridSample": Operator(
        grid_sample,
        FLOATS + HALF,
        faults=[
            # PyTorch, from which the operator comes, and onnxruntime bound what the filter reads.
            Fault("reference", "bounds the position itself", when=is_cubic_beyond_border)
        ],
    ),
    "Resize": Operator(
        resize,
        FLOATS + HALF + BYTES,
        tolerance={"float64": 1e-8},
        why=TIES,
        faults=[
            *LIMITS,
            Fault("onnxruntime", "rounds the new length first", when=is_fractional),
            Fault("onnxruntime", "crops no axis of the same size", when=crops_what_stays),
            Fault("onnxruntime", "keeps no ratio", when=keeps_ratio_of_negative_axes),
            Fault("reference", "has another coordinate for a length of 1", when=is_one_of_pytorch),
            Fault("reference", "misses an element by rounding", when=is_symmetric),
        ],
        by_hand=read_early,
    ),
    "Upsample": Operator(
        upsample,
        FLOATS + HALF + BYTES,
        tolerance={"float64": 1e-8},
        why=TIES,
        faults=LIMITS,
        by_hand=read_early,
    ),
}


@agreement(OPERATORS)
def test_resampling(case):
    case.check()
