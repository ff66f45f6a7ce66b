"""What does not fit is refused, by an error that names the node, the operator and the value."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cml_core as cml
from cml_core.errors import NodeError
from tests.agreement.test_indexing import gather, gather_elements, gather_nd, scatter_nd
from tests.agreement.test_indexing import scatter_elements as scattered
from tests.one_node import feeds_of, one_node

X = np.arange(12, dtype=np.float32).reshape(3, 4)
LINE = X[0]
WHOLE = X.astype(np.int64)
TRUE = np.ones(4, dtype=bool)


def int64(*values):
    return np.array(values, dtype=np.int64)


def refused(op_type, inputs, value, *, opset=18, **options):
    """Run a node that does not fit; its error names the node, the operator and the value."""
    model = one_node(op_type, inputs, opset=opset, **options)
    with pytest.raises(NodeError) as raised:
        cml.NumpyModule.from_onnx(model).run(feeds_of(inputs))
    assert (raised.value.node, raised.value.op_type) == ("node", op_type)
    text, sought = str(raised.value), re.escape(str(value))
    alone = sought if sought.startswith(r"\(") else rf"(?<![-.\d]){sought}(?!\.?\d)"
    assert re.search(alone, text), text


# --- indices and positions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op_type", "draw_node", "revision"),
    [
        ("Gather", gather, 13),
        ("GatherElements", gather_elements, 13),
        ("GatherND", gather_nd, 13),
        ("ScatterElements", scattered, 18),
        ("ScatterND", scatter_nd, 18),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_index_out_of_bounds(op_type, draw_node, revision):
    @settings(max_examples=25, derandomize=True, database=None)
    @given(st.data())
    def is_refused(data):
        node = draw_node(data.draw, np.dtype(np.float32), revision)
        x, indices, *others = node.inputs
        if indices.size == 0:
            return
        wrong = data.draw(st.sampled_from([max(x.shape), -max(x.shape) - 1, 10**9]))
        indices = indices.copy()
        indices.flat[data.draw(st.integers(0, indices.size - 1))] = wrong
        refused(op_type, [x, indices, *others], wrong, opset=revision, **node.attributes)

    is_refused()


#: Operators with an attribute `axis`, further inputs and attributes.
AXES = {
    "ArgMax": ([], {}),
    "ArgMin": ([], {}),
    "Compress": ([TRUE[:2]], {}),
    "Concat": ([X], {}),
    "Flatten": ([], {}),
    "Gather": ([int64(0)], {}),
    "GatherElements": ([WHOLE[:1] % 3], {}),
    "Hardmax": ([], {}),
    "LogSoftmax": ([], {}),
    "OneHot": ([int64(3), LINE[:2]], {}),
    "ScatterElements": ([WHOLE[:1] % 3, X[:1]], {}),
    "Softmax": ([], {}),
    "Split": ([int64(3)], {}),
    "TopK": ([int64(1)], {"n_outputs": 2}),
}


@pytest.mark.parametrize("axis", [4, -4])
@pytest.mark.parametrize("op_type", AXES)
def test_an_axis_that_is_not_there(op_type, axis):
    inputs, options = AXES[op_type]
    refused(op_type, [X, *inputs], axis, axis=axis, **options)


@pytest.mark.parametrize("axis", [2, -3])
@pytest.mark.parametrize(
    ("op_type", "inputs", "opset"),
    [
        ("CumSum", [], 14),
        ("ReduceL1", [], 18),
        ("ReduceMean", [], 18),
        ("ReduceSum", [], 13),
        ("Slice", [int64(0), int64(1)], 13),
        ("Squeeze", [], 13),
    ],
)
def test_an_axis_among_the_inputs_that_is_not_there(op_type, inputs, opset, axis):
    refused(op_type, [X, *inputs, int64(axis)], axis, opset=opset)


@pytest.mark.parametrize(
    ("op_type", "attribute"),
    [("ReduceMax", "axes"), ("Squeeze", "axes"), ("Unsqueeze", "axes"), ("Transpose", "perm")],
)
def test_axes_of_older_revisions_that_are_not_there(op_type, attribute):
    refused(op_type, [X], 7, opset=11, **{attribute: [7]})


@pytest.mark.parametrize(
    ("op_type", "inputs", "value", "options"),
    [
        ("Squeeze", [X, int64(1)], 1, {}),
        ("Unsqueeze", [X, int64(1, 1)], (1, 1), {}),
        ("Unsqueeze", [X, int64(5)], 5, {}),
        ("Transpose", [X], (0, 0), {"perm": [0, 0]}),
        ("Slice", [X, int64(0), int64(1), int64(0), int64(0)], 0, {}),
        ("Slice", [X, int64(0, 0), int64(1, 1), int64(1, -1)], (1, -1), {}),
        ("Slice", [X, int64(0, 0), int64(1)], "(2, 1, 2, 2)", {}),
        ("ReverseSequence", [X, int64(1, 2, 4, 0)], 4, {}),
        ("ReverseSequence", [X, int64(1, 2)], (2,), {}),
        ("ReverseSequence", [X, int64(1, 1, 1, 1)], 2, {"time_axis": 2}),
        ("TensorScatter", [X, X[:, :2], int64(0, 3, 0)], 3, {"axis": 1, "opset": 24}),
        ("TensorScatter", [X, X[:, :2], int64(0, -1, 0)], -1, {"axis": 1, "opset": 24}),
        ("TensorScatter", [X, X[:2, :2]], (2, 2), {"axis": 1, "opset": 24}),
        ("TopK", [X, int64(5)], 5, {"n_outputs": 2}),
        ("TopK", [X, int64(-1)], -1, {"n_outputs": 2}),
        ("TopK", [X, int64(1, 1)], "1, 1", {"n_outputs": 2}),
        ("TopK", [X], 5, {"n_outputs": 2, "k": 5, "opset": 9}),
        ("ArgMax", [X[:0]], 0, {}),
        ("GatherND", [X, int64(0, 0, 0)], (3,), {}),
        ("GatherND", [X, WHOLE[:1, :1]], (1, 1), {"batch_dims": 1}),
        ("GatherND", [X, int64(0)], 2, {"batch_dims": 2}),
        ("GatherElements", [X, WHOLE[0, :2]], (2,), {}),
        ("ScatterElements", [X, WHOLE[:1] % 3, X[:2]], (2, 4), {}),
        ("ScatterND", [X, int64(1), X[:2, 0]], (2,), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_place_that_is_not_there(op_type, inputs, value, options):
    refused(op_type, inputs, value, **options)


# --- shapes ---------------------------------------------------------------------------------------

BINARY = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "PRelu", "Max", "Min", "Sum", "Mean"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    *("And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift"),
)


@pytest.mark.parametrize("op_type", BINARY)
def test_shapes_that_do_not_broadcast(op_type):
    kind = {"And": bool, "Or": bool, "Xor": bool, "BitShift": np.uint8}.get(op_type, np.int32)
    direction = {"direction": "LEFT"} if op_type == "BitShift" else {}
    inputs = [np.ones(size, dtype=kind) for size in ((2, 3), (2, 1, 2))]
    for_floats = op_type in ("Sum", "Mean", "PRelu")
    inputs = [x.astype(np.float32) if for_floats else x for x in inputs]
    with pytest.raises(NodeError) as raised:
        run(op_type, inputs, **direction)
    assert re.search(r"\(2, ?3\).*\(2, ?1, ?2\)|\(2, ?1, ?2\).*\(2, ?3\)", str(raised.value))


def run(op_type, inputs, *, opset=18, **options):
    model = one_node(op_type, inputs, opset=opset, **options)
    return cml.NumpyModule.from_onnx(model).run(feeds_of(inputs))


@pytest.mark.parametrize(
    ("op_type", "inputs", "value", "options"),
    [
        ("Where", [TRUE[:3], X, X], (3,), {}),
        ("Clip", [X, LINE], (4,), {}),
        ("PRelu", [LINE, X], (3, 4), {}),
        ("SwiGLU", [X, LINE], (4,), {"opset": 28}),
        ("MatMul", [X, X], (3, 4), {}),
        ("MatMul", [X, LINE[0]], (), {}),
        ("Gemm", [X, X], "((3, 4), (3, 4))", {}),
        ("Gemm", [X, LINE], (4,), {}),
        ("Gemm", [X[np.newaxis], X.T], (1, 3, 4), {}),
        ("Gemm", [X, X.T, LINE], (4,), {}),
        ("Gemm", [X, X[:1].T, LINE[:3]], (3,), {}),
        ("Gemm", [X, X.T, X[np.newaxis, :, :3]], (1, 3, 3), {}),
        ("Det", [X], (3, 4), {}),
        ("Det", [LINE], (4,), {}),
        ("Einsum", [X, X], "ij,jk", {"equation": "ij,jk"}),
        ("Einsum", [X], "ij,jk", {"equation": "ij,jk"}),
        ("Einsum", [X], "ijk", {"equation": "ijk"}),
        ("Einsum", [X], "ij->k", {"equation": "ij->k"}),
        ("Einsum", [X], "i1->i", {"equation": "i1->i"}),
        ("Concat", [X, X[:2]], (2, 4), {"axis": 1}),
        ("Concat", [X, LINE], (4,), {"axis": 0}),
        ("Reshape", [X, int64(5, -1)], (5, -1), {}),
        ("Reshape", [X, int64(-1, -1)], (-1, -1), {}),
        ("Reshape", [X, int64(3, 5)], (3, 5), {}),
        ("Reshape", [X, int64(-2, 6)], (-2, 6), {}),
        ("Reshape", [X, int64(3, 4, 0)], (3, 4, 0), {}),
        ("Reshape", [X, int64(0, -1)], (0, -1), {"allowzero": 1}),
        ("Expand", [X, int64(2, 4)], (2, 4), {}),
        ("Expand", [X, int64(-1, 4)], (-1, 4), {}),
        ("Tile", [X, int64(2)], (2,), {}),
        ("Tile", [X, int64(2, -1)], (2, -1), {}),
        ("Pad", [X, int64(1, 1)], (1, 1), {}),
        ("Pad", [X, int64(-3, 0, -1, 0)], (-3, 0, -1, 0), {}),
        ("Pad", [X, int64(0, 0, 0, 0), None, int64(0)], (0, 0, 0, 0), {}),
        ("Pad", [X, int64(1, 0, 0, 0)], "bent", {"mode": "bent"}),
        ("Pad", [X[:0], int64(1, 0, 0, 0)], (1, 0), {"mode": "edge"}),
        ("Split", [X, int64(1, 1)], (1, 1), {"n_outputs": 2}),
        ("Split", [X, int64(4, -1)], (4, -1), {"n_outputs": 2}),
        ("Split", [X, int64(1, 1, 1)], (1, 1, 1), {"n_outputs": 2}),
        ("Split", [X], 2, {"n_outputs": 2, "opset": 13}),
        ("Split", [X], (1, 1, 1), {"n_outputs": 2, "opset": 11, "split": [1, 1, 1]}),
        ("Split", [X], 3, {"n_outputs": 2, "num_outputs": 3}),
        ("Split", [X], 7, {"n_outputs": 7, "num_outputs": 7}),
        ("Compress", [X, np.ones(5, bool)], 5, {"axis": 1}),
        ("Compress", [X, np.ones((1, 2), bool)], (1, 2), {}),
        ("CenterCropPad", [X, int64(2)], (2,), {}),
        ("CenterCropPad", [X, int64(2, -1)], (2, -1), {}),
        ("ConstantOfShape", [int64(2, -1)], (2, -1), {}),
        ("EyeLike", [LINE], (4,), {}),
        ("Trilu", [LINE], (4,), {}),
        ("DepthToSpace", [X.reshape(1, 3, 2, 2)], (1, 3, 2, 2), {"blocksize": 2}),
        ("SpaceToDepth", [X.reshape(1, 1, 4, 3)], (1, 1, 4, 3), {"blocksize": 2}),
        ("OneHot", [WHOLE, int64(3), LINE], (4,), {}),
        ("OneHot", [WHOLE, int64(-3), LINE[:2]], -3, {}),
        ("CumSum", [X, int64(0, 1)], "0, 1", {}),
        ("Range", [int64(0).reshape(()), int64(3).reshape(()), int64(0).reshape(())], 0, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_shape_that_does_not_fit(op_type, inputs, value, options):
    refused(op_type, inputs, value, **options)


# --- attributes and numbers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op_type", "inputs", "options"),
    [
        ("ArgMax", [X], {"keepdims": 2}),
        ("ArgMin", [X], {"select_last_index": -1}),
        ("BitCast", [X], {"to": 12345, "opset": 26}),
        ("BitCast", [X], {"to": 11, "opset": 26}),
        ("BitShift", [WHOLE.astype(np.uint8)] * 2, {"direction": "UP"}),
        ("Cast", [X], {"to": 12345}),
        ("Celu", [X], {"alpha": 0.0}),
        ("CumSum", [X, int64(0)], {"exclusive": 2}),
        ("CumSum", [X, int64(0)], {"reverse": -1}),
        ("DepthToSpace", [X.reshape(1, 12, 1, 1)], {"mode": "CDR", "blocksize": 2}),
        ("EyeLike", [X], {"dtype": -5}),
        ("Gelu", [X], {"approximate": "erf", "opset": 20}),
        ("Mod", [X, X + 1], {"fmod": 2}),
        ("ReduceMax", [X], {"keepdims": 3}),
        ("ReduceSum", [X], {"noop_with_empty_axes": -1}),
        ("Reshape", [X, int64(4, 3)], {"allowzero": 2}),
        ("ScatterElements", [X, WHOLE[:1] % 3, X[:1]], {"reduction": "mean"}),
        ("ScatterND", [X, int64(1), LINE], {"reduction": "mean"}),
        ("TensorScatter", [X, X], {"mode": "round", "axis": 1, "opset": 24}),
        ("TensorScatter", [X, X], {"axis": 0, "opset": 24}),
        ("TopK", [X, int64(1)], {"largest": 2, "n_outputs": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_attribute_out_of_range(op_type, inputs, options):
    given_value = next(v for k, v in options.items() if k not in ("opset", "n_outputs"))
    refused(op_type, inputs, given_value, **options)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_integers_divided_by_zero(op_type, kind):
    refused(op_type, [np.array([7, 0], kind), np.array([2, 0], kind)], 0, opset=14)


def test_a_negative_power_of_an_integer_zero():
    refused("Pow", [int64(2, 0), int64(-1, -3)], -1)


ENDS = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1.7e308, -1.7e308])
LEAST = np.array([np.iinfo(np.int32).min, -1, 0, np.iinfo(np.int32).max], dtype=np.int32)


@pytest.mark.parametrize(
    "op_type",
    [
        *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh"),
        *("Elu", "Erf", "Exp", "Floor", "Gelu", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg"),
        *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus"),
        *("Softsign", "Sqrt", "Tan", "Tanh", "Softmax", "LogSoftmax", "Hardmax", "ArgMax"),
        *("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceMax"),
        *("ReduceSumSquare", "CumSum"),
    ],
)
def test_numbers_without_result_make_no_warning(op_type):
    axis = [int64(0)] if op_type == "CumSum" else []
    for kind in (np.float16, np.float32, np.float64):
        with np.errstate(over="ignore", under="ignore"):
            x = ENDS.astype(kind)
        run(op_type, [x, *axis], opset=20)


@pytest.mark.parametrize(
    "op_type", ["Add", "Sub", "Mul", "Div", "Mod", "Max", "ReduceSum", "Abs", "Neg"]
)
def test_integers_that_overflow_make_no_warning(op_type):
    others = [] if op_type in ("ReduceSum", "Abs", "Neg") else [np.full(4, -1, dtype=np.int32)]
    run(op_type, [LEAST, *others])
