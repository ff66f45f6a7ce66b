"""Elements that are moved, repeated or dropped, and shapes."""

from __future__ import annotations

import functools

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    ALL,
    STRINGS,
    array,
    axis_of,
    broadcastable,
    optional,
    several_axes,
    shape,
)

FAR = (2**31 - 1, -(2**31) + 1, 2**63 - 1, -(2**63) + 1)


def int64(values):
    return np.array(values, dtype=np.int64)


def steering(draw):
    """Steering inputs at these positions are constants of the model, or none are."""
    return tuple(range(1, 8)) if draw(st.booleans()) else ()


def reshape(draw, dtype, revision):
    size = shape(draw, max_rank=4)
    sizes = list(draw(st.permutations(size)))
    allowzero = revision >= 14 and draw(st.booleans())
    if sizes and draw(st.booleans()):
        place = draw(st.integers(0, len(sizes) - 1))
        sizes[place : place + 2] = [int(np.prod(sizes[place : place + 2]))]
    sizes.insert(draw(st.integers(0, len(sizes))), 1)
    if not allowzero:
        for place, length in enumerate(size[: len(sizes)]):
            if sizes[place] == length and draw(st.booleans()):
                sizes[place] = 0
    if 0 not in size and draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    if not allowzero and any(n == 0 and size[k : k + 1] != (0,) for k, n in enumerate(sizes)):
        # Such a zero would take over the size of another axis.
        sizes = [0 if k < len(size) and size[k] == n else n for k, n in enumerate(size)]
    x = array(draw, dtype, size)
    return Node([x, int64(sizes)], {"allowzero": 1} if allowzero else {}, constants=steering(draw))


def transpose(draw, dtype, revision):
    x = array(draw, dtype, shape(draw))
    perm = {"perm": list(draw(st.permutations(range(x.ndim))))} if x.ndim else {}
    return Node([x], optional(draw, **perm))


def flatten(draw, dtype, revision):
    size = shape(draw, 0)
    low = -len(size) if revision >= 11 else 0
    axis = draw(st.integers(low, len(size)))
    return Node([array(draw, dtype, size)], {"axis": axis})


def squeeze(draw, dtype, revision):
    size = tuple(draw(st.sampled_from([1, 1, 2, 3, 0])) for _ in range(draw(st.integers(0, 4))))
    ones = [k for k, n in enumerate(size) if n == 1]
    axes = draw(st.lists(st.sampled_from(ones), unique=True, min_size=1)) if ones else []
    axes = [a - len(size) if revision >= 11 and draw(st.booleans()) else a for a in axes]
    x = array(draw, dtype, size)
    if not axes or draw(st.booleans()):
        return Node([x])
    if revision < 13:
        return Node([x], {"axes": axes})
    return Node([x, int64(axes)], constants=steering(draw))


def unsqueeze(draw, dtype, revision):
    size = shape(draw, max_rank=3)
    rank = len(size) + draw(st.integers(1, 2))
    axes = draw(st.permutations(range(rank)))[: rank - len(size)]
    axes = [a - rank if revision >= 11 and draw(st.booleans()) else a for a in axes]
    x = array(draw, dtype, size)
    if revision < 13:
        return Node([x], {"axes": axes})
    return Node([x, int64(axes)], constants=steering(draw))


def concat(draw, dtype, revision):
    size = shape(draw, 1)
    axis = axis_of(draw, len(size), negative=revision >= 11)
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    place = axis % len(size)
    parts = [array(draw, dtype, (*size[:place], n, *size[place + 1 :])) for n in lengths]
    return Node(parts, {"axis": axis})


def split(draw, dtype, revision):
    size = shape(draw, 1)
    axis = axis_of(draw, len(size), negative=revision >= 11)
    place = axis % len(size)
    count = draw(st.integers(1, 4))
    given = draw(st.booleans())
    if given:
        lengths = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
        length = sum(lengths)
    else:
        each = draw(st.integers(1, 3))
        # From revision 18 on the last part may be shorter.
        length = each * count - (draw(st.integers(0, each - 1)) if revision >= 18 else 0)
    x = array(draw, dtype, (*size[:place], length, *size[place + 1 :]))
    attributes = {"axis": axis} if axis or draw(st.booleans()) else {}
    if not given:
        extra = {"num_outputs": count} if revision >= 18 else {}
        return Node([x], {**attributes, **extra}, n_outputs=count)
    if revision < 13:
        return Node([x], {**attributes, "split": lengths}, n_outputs=count)
    return Node([x, int64(lengths)], attributes, n_outputs=count, constants=steering(draw))


def slice_(draw, dtype, revision):
    size = shape(draw, 1)
    axes = several_axes(draw, len(size), negative=revision >= 10, min_size=1)
    bound = st.one_of(st.integers(-6, 6), st.sampled_from(FAR))
    starts, ends = ([draw(bound) for _ in axes] for _ in range(2))
    x = array(draw, dtype, size)
    if revision < 10:
        stated = {"starts": starts, "ends": ends}
        if draw(st.booleans()):
            return Node([x], {name: values[:1] for name, values in stated.items()})
        return Node([x], {**stated, "axes": axes})
    steps = [draw(st.sampled_from([1, 1, -1, 2, -2, 5, FAR[0], -FAR[0]])) for _ in axes]
    kind = draw(st.sampled_from([np.int64, np.int32]))
    clipped = (
        np.clip(v, *FAR[1::-1]) if kind is np.int32 else v for v in (starts, ends, axes, steps)
    )
    inputs = [np.array(values, dtype=kind) for values in clipped]
    if draw(st.booleans()):
        inputs = [values[:1] for values in inputs]
        left = draw(st.sampled_from([inputs[:2], [*inputs[:2], None, inputs[3]], inputs[:3]]))
        return Node([x, *left], constants=steering(draw))
    return Node([x, *inputs], constants=steering(draw))


def expand(draw, dtype, revision):
    first, second = broadcastable(draw, max_rank=3)
    return Node([array(draw, dtype, first), int64(second)], constants=steering(draw))


def tile(draw, dtype, revision):
    size = shape(draw, 1, 3)
    repeats = [draw(st.integers(0, 3)) for _ in size]
    return Node([array(draw, dtype, size), int64(repeats)], constants=steering(draw))


def pad(draw, dtype, revision):
    modes = ["constant", "reflect", "edge", *(["wrap"] if revision >= 19 else [])]
    mode = draw(st.sampled_from(modes))
    size = shape(draw, 1, 3, min_size=0 if mode == "constant" else 2, max_size=5)
    axes = list(range(len(size)))
    if revision >= 18 and draw(st.booleans()):
        axes = several_axes(draw, len(size), min_size=1)
    ends = []
    for n in (size[axis] for axis in axes):
        low = draw(st.integers(-min(n, 1), 3))
        high = draw(st.integers(-min(n, 1) if low >= 0 else 0, 3))
        left = n + min(low, 0) + min(high, 0)
        most = left - 1 if mode == "reflect" else left
        ends.append((low, high) if mode == "constant" else (min(low, most), min(high, most)))
    pads = [low for low, _ in ends] + [high for _, high in ends]
    attributes = {"mode": mode} if mode != "constant" or draw(st.booleans()) else {}
    x = array(draw, dtype, size)
    if revision < 11:
        value = {"value": draw(st.floats(-3, 3, width=16))} if draw(st.booleans()) else {}
        return Node([x], {**attributes, **value, "pads": pads})
    inputs = [x, int64(pads)]
    if dtype in STRINGS or draw(st.booleans()):  # the reference pads strings with the number 0
        inputs.append(array(draw, dtype, ()))
    if axes != list(range(len(size))):
        inputs += [None] * (3 - len(inputs)) + [int64(axes)]
    return Node(inputs, attributes, constants=steering(draw))


def center_crop_pad(draw, dtype, revision):
    size = shape(draw, 1, max_size=5)
    attributes, count = {}, len(size)
    if draw(st.booleans()):
        attributes["axes"] = several_axes(draw, len(size), min_size=1)
        count = len(attributes["axes"])
    wanted = [draw(st.integers(0, 6)) for _ in range(count)]
    return Node([array(draw, dtype, size), int64(wanted)], attributes, constants=steering(draw))


def blocks(draw, dtype, revision, *, apart):
    """DepthToSpace, or SpaceToDepth which takes blocks apart."""
    count, depth, height, width = shape(draw, 4, 4, max_size=3)
    block = draw(st.integers(1, 3))
    attributes = {"blocksize": block}
    if revision >= (28 if apart else 11):
        attributes.update(optional(draw, mode=draw(st.sampled_from(["DCR", "CRD"]))))
    if apart:
        size = (count, depth, height * block, width * block)
    else:
        size = (count, depth * block * block, height, width)
    return Node([array(draw, dtype, size)], attributes)


def trilu(draw, dtype, revision):
    x = array(draw, dtype, shape(draw, 2))
    upper = optional(draw, upper=draw(st.integers(0, 1)))
    k = [] if draw(st.booleans()) else [int64(draw(st.integers(-5, 5)))]
    return Node([x, *k], upper, constants=steering(draw))


def shape_of(draw, dtype, revision):
    x = array(draw, dtype, shape(draw))
    if revision < 15:
        return Node([x])
    return Node([x], optional(draw, start=draw(st.integers(-6, 6)), end=draw(st.integers(-6, 6))))


def size_of(draw, dtype, revision):
    return Node([array(draw, dtype, shape(draw))])


def is_backward_to_largest(node, case):
    """Whether Slice goes backward, to an end that is the largest integer."""
    if len(node.inputs) < 5:
        return False
    ends, steps = node.inputs[2], node.inputs[4]
    return bool(((steps < 0) & np.isin(ends, FAR[::2])).any())


def sliced(node, case):
    """Slice, element by element as its specification says."""
    x, starts, ends, axes, steps = (*node.inputs, None, None)[:5]
    axes = range(len(starts)) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        size = x.shape[axis]
        start, end = (place + size if place < 0 else place for place in (start, end))
        if step > 0:
            places = range(min(max(start, 0), size), min(max(end, 0), size), step)
        else:
            places = range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)
        x = x.take(np.array(places, dtype=np.int64), axis=axis)
    return (x,)


_MOVED = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "DepthToSpace": functools.partial(blocks, apart=False),
    "Expand": expand,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": slice_,
    "SpaceToDepth": functools.partial(blocks, apart=True),
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
_SOME = tuple(t for t in ALL if t.name in ("float32", "float64", "int64", "uint8", "bool"))
_SOME += STRINGS

_FAULTS = {
    "Slice": [
        Fault(
            "onnxruntime",
            "backward it takes INT_MAX for the beginning, where ONNX asks for INT_MIN",
            when=is_backward_to_largest,
        ),
        Fault(
            "reference",
            "it does not clamp starts before the first element",
            when=is_backward_to_largest,
        ),
    ],
}

OPERATORS = {
    op_type: Operator(
        draw,
        _SOME,
        tolerance=0,
        faults=_FAULTS.get(op_type, ()),
        by_hand=sliced if op_type == "Slice" else None,
    )
    for op_type, draw in _MOVED.items()
}


@agreement(OPERATORS)
def test_movement(case):
    case.check()
