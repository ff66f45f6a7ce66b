"""Reductions along axes, their relatives that keep the shape, and the order of elements."""

from __future__ import annotations

import functools
import math

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    BOOL,
    FLOATS,
    HALF,
    INTEGERS,
    SIGNED,
    UNSIGNED,
    array,
    axis_of,
    optional,
    several_axes,
    shape,
)

#: Nothing that overflows, as sums then depend on their order.
SUMMABLE = ("plain", "ties", "infinite")


def summable(draw, dtype, size, **limits):
    kinds = SUMMABLE if dtype.kind == "f" else ("plain", "ties")
    return array(draw, dtype, size, kinds=kinds, **limits)


def reduction(draw, dtype, revision, *, since_input=18, min_size=0, values=summable):
    """Axes are an input from a revision on, and an attribute before."""
    size = shape(draw, min_size=min_size if revision >= since_input else 1)
    x = values(draw, dtype, size)
    attributes = optional(draw, keepdims=draw(st.integers(0, 1)))
    axes = several_axes(draw, len(size), negative=revision >= 11, min_size=min(1, len(size)))
    if revision < since_input:
        if axes and draw(st.booleans()):
            attributes["axes"] = axes
        return Node([x], attributes)
    attributes.update(optional(draw, noop_with_empty_axes=draw(st.integers(0, 1))))
    given = draw(st.sampled_from(["some", "none", "left out"]))
    if given == "left out":
        return Node([x], attributes)
    axes = np.array(axes if given == "some" else [], dtype=np.int64)
    return Node([x, axes], attributes, constants=draw(st.sampled_from([(), (1,)])))


def positive(draw, dtype, size):
    return summable(draw, dtype, size, low=0)


def small(draw, dtype, size):
    return array(draw, dtype, size, kinds=SUMMABLE if dtype.kind == "f" else ("ties",))


def best_place(draw, dtype, revision):
    size = shape(draw, 1, min_size=1)
    attributes = {"axis": axis_of(draw, len(size), negative=revision >= 11)}
    attributes["keepdims"] = draw(st.integers(0, 1))
    if revision >= 12:
        attributes["select_last_index"] = draw(st.integers(0, 1))
    kinds = ("plain", "ties")
    return Node([array(draw, dtype, size, kinds=kinds)], optional(draw, **attributes))


def cumulation(draw, dtype, revision):
    size = shape(draw, 1)
    axis = np.array(axis_of(draw, len(size)), dtype=draw(st.sampled_from([np.int32, np.int64])))
    flags = {name: draw(st.integers(0, 1)) for name in ("exclusive", "reverse")}
    kinds = ("ties", "infinite") if dtype.kind == "f" else ("ties",)
    return Node([array(draw, dtype, size, kinds=kinds), axis], optional(draw, **flags))


def softmax(draw, dtype, revision, *, kinds=SUMMABLE):
    size = shape(draw, 1 if revision >= 13 else 2, min_size=1)
    axis = axis_of(draw, len(size), negative=revision >= 11)
    return Node([array(draw, dtype, size, kinds=kinds)], optional(draw, axis=axis))


def top_k(draw, dtype, revision):
    size = shape(draw, 1, min_size=1)
    attributes = {"axis": axis_of(draw, len(size), negative=revision >= 11)}
    k = draw(st.integers(1, size[attributes["axis"]]))
    if revision >= 11:
        attributes["largest"] = draw(st.integers(0, 1))
    x = array(draw, dtype, size, kinds=("plain", "ties"))
    if revision < 10:
        return Node([x], {**attributes, "k": k}, n_outputs=2)
    return Node(
        [x, np.array([k])], attributes, n_outputs=2, constants=draw(st.sampled_from([(), (1,)]))
    )


def has_nan(node, case):
    return case.dtype.kind == "f" and np.isnan(node.inputs[0]).any()


def is_not_finite(node, case):
    (x,) = node.inputs
    return case.dtype == np.float64 and (np.isnan(x) | np.isposinf(x)).any()


def log_sum_exp(node, case):
    x, axes = (*node.inputs, None)[:2]
    axes = node.attributes.get("axes", ()) if axes is None else axes.tolist()
    if not axes and not node.attributes.get("noop_with_empty_axes"):
        axes = range(x.ndim)
    keepdims = bool(node.attributes.get("keepdims", 1))
    total = np.exp(x.astype(np.float64)).sum(axis=tuple(axes), keepdims=keepdims)
    return (np.log(total).astype(x.dtype),)


def hardmax_of_matrix(node, case):
    (x,) = node.inputs
    matrix = x.reshape(math.prod(x.shape[: node.attributes.get("axis", 1)]), -1)
    hot = np.arange(matrix.shape[1]) == matrix.argmax(axis=1)[:, np.newaxis]
    return (hot.astype(x.dtype).reshape(x.shape),)


def log_softmax_of_matrix(node, case):
    (x,) = node.inputs
    matrix = x.reshape(math.prod(x.shape[: node.attributes.get("axis", 1)]), -1)
    shifted = matrix - matrix.max(axis=1, keepdims=True)
    result = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return (result.reshape(x.shape),)


_REDUCED = FLOATS + HALF + SIGNED[2:] + UNSIGNED[2:]
_EXTREMES = Operator(
    functools.partial(reduction, values=array),
    FLOATS + HALF + INTEGERS + BOOL,
    faults=[
        Fault("onnxruntime", "whether NaN counts depends on where it is", when=has_nan),
        Fault(
            "onnxruntime", "no booleans have no extreme for it", says="not defined for empty set"
        ),
    ],
)

_FLAT = Fault(
    "reference",
    "older revisions take all axes from a given one on as one, which it does not",
    when=lambda node, case: case.revision < 13,
)

OPERATORS = {
    **dict.fromkeys(("ReduceL1", "ReduceL2"), Operator(reduction, _REDUCED)),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), _EXTREMES),
    **dict.fromkeys(("ArgMax", "ArgMin"), Operator(best_place, FLOATS + HALF + INTEGERS)),
    **dict.fromkeys(("CumProd", "CumSum"), Operator(cumulation, _REDUCED)),
    "Hardmax": Operator(
        functools.partial(softmax, kinds=("plain", "ties")),  # NaN has no place in the order
        FLOATS + HALF,
        faults=[_FLAT],
        by_hand=hardmax_of_matrix,
    ),
    "LogSoftmax": Operator(
        softmax,
        FLOATS + HALF,
        faults=[
            Fault(
                "onnxruntime",
                "in float64 it has results for some elements beside NaN and infinity",
                when=is_not_finite,
            ),
            _FLAT,
        ],
        by_hand=log_softmax_of_matrix,
    ),
    # Logarithms of integers are not defined; the newest revisions have no such types.
    "ReduceLogSum": Operator(functools.partial(reduction, values=positive), FLOATS + HALF),
    "ReduceLogSumExp": Operator(
        reduction,
        FLOATS + HALF,
        faults=[
            Fault("onnxruntime", "infinity makes NaN disappear", when=has_nan),
            Fault("reference", "minus infinity makes NaN", when=has_nan),
        ],
        by_hand=log_sum_exp,
    ),
    # The mean of nothing is not defined.
    "ReduceMean": Operator(functools.partial(reduction, min_size=1), _REDUCED),
    # Of uint32, onnxruntime has no kernel, and the reference returns uint64.
    "ReduceSumSquare": Operator(reduction, FLOATS + HALF + SIGNED[2:] + UNSIGNED[3:]),
    "ReduceProd": Operator(functools.partial(reduction, values=small), _REDUCED),
    "ReduceSum": Operator(functools.partial(reduction, since_input=13), _REDUCED),
    "Softmax": Operator(softmax, FLOATS + HALF),
    "TopK": Operator(top_k, FLOATS + HALF + INTEGERS),
}


@agreement(OPERATORS)
def test_reductions(case):
    case.check()
