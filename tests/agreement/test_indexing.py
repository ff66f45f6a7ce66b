"""Elements chosen or replaced by indices, and tensors that are made of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    ALL,
    FLOATS,
    HALF,
    INTEGERS,
    SIGNED,
    STRINGS,
    array,
    axis_of,
    optional,
    shape,
)

INDEX_TYPES = st.sampled_from([np.dtype(np.int64), np.dtype(np.int32)])


def indices(draw, size, room, *, negative=True, dtype=None):
    """Draw indices into an axis of `room` elements, counted from either end."""
    dtype = draw(INDEX_TYPES) if dtype is None else dtype
    return array(
        draw, dtype, size, kinds=("plain", "ties"), low=-room if negative else 0, high=room - 1
    )


def gather(draw, dtype, revision):
    size = shape(draw, 1, 3, min_size=1)
    axis = axis_of(draw, len(size), negative=revision >= 11)
    x = array(draw, dtype, size)
    chosen = indices(draw, shape(draw, 0, 2), size[axis], negative=revision >= 11)
    return Node([x, chosen], optional(draw, axis=axis) if axis == 0 else {"axis": axis})


def along(draw, size):
    """Draw an axis, and the shape of indices of which none is longer along other axes."""
    axis = axis_of(draw, len(size))
    other = [draw(st.integers(1, n)) for n in size]
    other[axis] = draw(st.integers(0, 4))
    return axis, tuple(other)


def gather_elements(draw, dtype, revision):
    size = shape(draw, 1, 3, min_size=1)
    axis, wanted = along(draw, size)
    chosen = indices(draw, wanted, size[axis])
    return Node([array(draw, dtype, size), chosen], {"axis": axis})


def tuples(draw, size, batch=0):
    """Draw index tuples into a tensor of this shape, and how many indices a tuple has."""
    count = draw(st.integers(1, len(size) - batch))
    outer = (*size[:batch], *shape(draw, 0, 2))
    rooms = size[batch : batch + count]
    columns = [indices(draw, outer, room, dtype=np.dtype(np.int64)) for room in rooms]
    return np.stack(columns, axis=-1), count


def gather_nd(draw, dtype, revision):
    size = shape(draw, 1, 4, min_size=1)
    batch = draw(st.integers(0, len(size) - 1)) if revision >= 12 else 0
    chosen, _ = tuples(draw, size, batch)
    return Node([array(draw, dtype, size), chosen], {"batch_dims": batch} if batch else {})


def reduction_of(draw, revision, dtype, repeats):
    """Draw a reduction that a revision has; without one, no place may come up twice."""
    known = {16: ["add", "mul"], 18: ["add", "mul", "max", "min"]}.get(revision, [])
    if not known or dtype.kind in "bO":
        return None if repeats else {}
    names = [*known, *([] if repeats else ["none"])]
    return {"reduction": draw(st.sampled_from(names))}


def scatter_elements(draw, dtype, revision):
    size = shape(draw, 1, 3, min_size=1)
    axis, wanted = along(draw, size)
    chosen = indices(draw, wanted, size[axis])
    places = np.moveaxis(chosen % size[axis], axis, 0)
    ordered = np.sort(places, axis=0)
    attributes = reduction_of(draw, revision, dtype, bool((ordered[1:] == ordered[:-1]).any()))
    if attributes is None:  # one index for each line, so none twice
        attributes, chosen = {}, np.take(chosen, [0], axis=axis)
    updates = array(draw, dtype, chosen.shape, kinds=("ties",))
    x = array(draw, dtype, size, kinds=("plain", "ties"))
    return Node([x, chosen, updates], {"axis": axis, **attributes})


def scatter_nd(draw, dtype, revision):
    size = shape(draw, 1, 3, min_size=1)
    chosen, count = tuples(draw, size)
    flat = (chosen % np.array(size[:count])).reshape(-1, count)
    attributes = reduction_of(draw, revision, dtype, len(np.unique(flat, axis=0)) < len(flat))
    if attributes is None:
        attributes, chosen = {}, chosen.reshape(-1, count)[:1]
    updates = array(draw, dtype, (*chosen.shape[:-1], *size[count:]), kinds=("ties",))
    x = array(draw, dtype, size, kinds=("plain", "ties"))
    return Node([x, chosen, updates], attributes)


def tensor_scatter(draw, dtype, revision):
    size = shape(draw, 2, 4, min_size=1)
    axis = draw(st.integers(1, len(size) - 1))
    count = draw(st.integers(1, size[axis]))
    mode = draw(st.sampled_from(["linear", "circular"]))
    high = size[axis] - 1 if mode == "circular" else size[axis] - count
    update = array(draw, dtype, (*size[:axis], count, *size[axis + 1 :]))
    axis = axis - len(size) if draw(st.booleans()) else axis
    first = (
        []
        if draw(st.booleans())
        else [array(draw, np.int64, size[:1], kinds=("ties",), low=0, high=high)]
    )
    return Node([array(draw, dtype, size), update, *first], {"axis": axis, "mode": mode})


def compress(draw, dtype, revision):
    size = shape(draw, 1, 3)
    x = array(draw, dtype, size)
    if draw(st.booleans()):
        return Node([x, array(draw, bool, (draw(st.integers(0, x.size)),))])
    axis = axis_of(draw, len(size), negative=revision >= 11)
    return Node([x, array(draw, bool, (draw(st.integers(0, size[axis])),))], {"axis": axis})


def one_hot(draw, dtype, revision):
    size = shape(draw, 1, 3)
    depth = draw(st.integers(1, 4))
    axis = draw(st.integers(-len(size) - 1, len(size)))
    low = -depth - 1 if dtype.kind != "u" and revision >= 11 else 0
    chosen = array(draw, dtype, size, kinds=("ties",), low=low, high=depth + 1)
    chosen = np.trunc(chosen) if dtype.kind == "f" else chosen
    # Of infinite values the reference makes NaN.
    kind = draw(st.sampled_from([np.float32, np.int64]))
    values = array(draw, kind, (2,), kinds=("plain", "ties"))
    count = np.array(depth, dtype=np.int64).reshape(draw(st.sampled_from([(), (1,)])))
    return Node([chosen, count, values], optional(draw, axis=axis))


def non_zero(draw, dtype, revision):
    return Node([array(draw, dtype, shape(draw))])


def eye_like(draw, dtype, revision):
    to = draw(st.sampled_from([np.float32, np.float64, np.int32, np.int64]))
    attributes = {
        "k": draw(st.integers(-4, 4)),
        "dtype": helper.np_dtype_to_tensor_dtype(np.dtype(to)),
    }
    return Node([array(draw, dtype, shape(draw, 2, 2))], optional(draw, **attributes))


def range_(draw, dtype, revision):
    numbers = [draw(st.integers(-8, 8)) for _ in range(2)]
    step = draw(st.integers(1, 4)) * draw(st.sampled_from([1, -1]))
    parts = 4 if dtype.kind == "f" else 1  # quarters are exact
    return Node([np.array(n / parts if parts > 1 else n, dtype=dtype) for n in (*numbers, step)])


def constant_of_shape(draw, dtype, revision):
    size = np.array(shape(draw, 0, 3), dtype=np.int64)
    value = numpy_helper.from_array(array(draw, draw(st.sampled_from(ALL)), (1,)))
    return Node([size], optional(draw, value=value), constants=draw(st.sampled_from([(), (0,)])))


def reverse_sequence(draw, dtype, revision):
    size = shape(draw, 2, 4, min_size=1)
    time = draw(st.integers(0, 1))
    lengths = array(draw, np.int64, (size[1 - time],), kinds=("ties",), low=0, high=size[time])
    axes = {"time_axis": time, "batch_axis": 1 - time}
    return Node([array(draw, dtype, size), lengths], axes if time else optional(draw, **{}) | axes)


def is_number(node, case):
    return node.inputs[0].ndim == 0


_SOME = tuple(t for t in ALL if t.name in ("float32", "float64", "int64", "uint8", "bool"))
_SOME += STRINGS
_NUMBERS = FLOATS + HALF + SIGNED[2:]

OPERATORS = {
    "Compress": Operator(compress, _SOME, tolerance=0),
    "ConstantOfShape": Operator(constant_of_shape, (np.dtype(np.int64),), tolerance=0),
    "EyeLike": Operator(eye_like, FLOATS + SIGNED[2:]),
    "Gather": Operator(
        gather,
        _SOME,
        tolerance=0,
        faults=[
            Fault(
                "onnxruntime",
                "it copies too few strings",
                when=lambda node, case: case.dtype == object,
            )
        ],
    ),
    "GatherElements": Operator(gather_elements, _SOME, tolerance=0),
    "GatherND": Operator(gather_nd, _SOME, tolerance=0),
    "NonZero": Operator(
        non_zero,
        _SOME,
        faults=[
            Fault(runtime, "it takes a number for a vector of one", when=is_number)
            for runtime in ("onnxruntime", "reference")
        ],
        by_hand=lambda node, case: (np.zeros((0, np.count_nonzero(node.inputs[0])), np.int64),),
    ),
    "OneHot": Operator(one_hot, FLOATS + INTEGERS),
    "Range": Operator(range_, FLOATS + SIGNED[1:]),
    "ReverseSequence": Operator(reverse_sequence, _SOME, tolerance=0),
    "Scatter": Operator(scatter_elements, _SOME, tolerance=0),
    "ScatterElements": Operator(scatter_elements, _SOME + HALF),
    "ScatterND": Operator(scatter_nd, _SOME + HALF),
    "TensorScatter": Operator(tensor_scatter, _SOME, tolerance=0),
}


@agreement(OPERATORS)
def test_indexing(case):
    case.check()
