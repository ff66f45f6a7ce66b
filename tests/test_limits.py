"""Tensors whose size a model's values decide are refused before they are made."""

import tracemalloc

import numpy as np
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.errors import ConfigError, NodeError, TensorSizeError
from tests.one_node import one_node

X = np.ones((2, 2), np.float32)
HUGE = 2**40
GRID = np.zeros((1, 2, 3), np.float32)
SIGNAL = np.ones((1, 4, 1), np.float32)
ONE, ENDS = np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.int64)

HUNGRY = {
    "AffineGrid": ((GRID, np.array([1, 1, HUGE, 2])), {}, 20),
    "CenterCropPad": ((X, np.array([HUGE, 2])), {}, 18),
    "ConstantOfShape": ((np.array([HUGE]),), {}, 21),
    "DFT": ((SIGNAL, np.array(HUGE), np.array(1)), {}, 20),
    "Expand": ((X, np.array([HUGE, 2, 2])), {}, 13),
    "HannWindow": ((np.array(HUGE),), {}, 17),
    "MaxUnpool": ((ONE, ENDS, np.array([1, 1, HUGE])), {"kernel_shape": [1]}, 11),
    "OneHot": ((np.array([1]), np.array(HUGE), np.zeros(2, np.float32)), {}, 11),
    "Pad": ((X, np.array([0, 0, HUGE, 0])), {}, 18),
    "Range": ((np.array(0), np.array(HUGE), np.array(1)), {}, 11),
    "Tile": ((X, np.array([HUGE, 1])), {}, 13),
}


@pytest.mark.parametrize("op_type", HUNGRY)
def test_a_tensor_beyond_the_limit_is_refused_before_it_is_made(op_type):
    inputs, attributes, opset = HUNGRY[op_type]
    module = cml.NumpyModule.from_onnx(one_node(op_type, inputs, opset=opset, **attributes))
    tracemalloc.start()
    with pytest.raises(NodeError, match="CML_MAX_TENSOR_BYTES") as raised:
        module(*inputs)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.value.op_type == op_type
    assert isinstance(raised.value.__cause__, TensorSizeError)
    assert raised.value.__cause__.size >= HUGE
    assert most < 2**22


def test_a_constant_that_is_too_large_is_refused_when_the_model_is_loaded():
    shape = np.array([HUGE])
    model = one_node("ConstantOfShape", (shape,), opset=21, constants=(0,))
    with pytest.raises(NodeError, match="CML_MAX_TENSOR_BYTES"):
        cml.NumpyModule.from_onnx(model)


def test_the_limit_can_be_set(monkeypatch):
    shape = np.array([2**19])
    module = cml.NumpyModule.from_onnx(one_node("ConstantOfShape", (shape,), opset=21))
    with cml.tensor_limit(2**20), pytest.raises(NodeError, match="the limit is 1,048,576"):
        module(shape)
    assert module(shape).nbytes == 2**21
    monkeypatch.setenv("CML_MAX_TENSOR_BYTES", str(2**20))
    with pytest.raises(NodeError, match="the limit is 1,048,576"):
        module(shape)
    with cml.tensor_limit(2**21):
        assert module(shape).nbytes == 2**21


@pytest.mark.parametrize("limit", [0, -1, 1.5, "many", None])
def test_a_limit_that_cannot_be_is_refused(limit):
    with pytest.raises(ConfigError), cml.tensor_limit(limit):
        pass


def test_a_variable_that_is_no_number_is_named(monkeypatch):
    shape = np.array([2**19])
    module = cml.NumpyModule.from_onnx(one_node("ConstantOfShape", (shape,), opset=21))
    monkeypatch.setenv("CML_MAX_TENSOR_BYTES", "4 GiB")
    with pytest.raises(NodeError, match="CML_MAX_TENSOR_BYTES='4 GiB' is not possible"):
        module(shape)


def test_graphs_within_nodes_are_limited_too():
    body = helper.make_graph(
        [helper.make_node("Expand", ["x", "shape"], ["wide"])],
        "body",
        [],
        [helper.make_tensor_value_info("wide", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    value = helper.make_tensor_value_info
    inputs = [
        value("c", TensorProto.BOOL, []),
        value("x", TensorProto.FLOAT, [1]),
        value("shape", TensorProto.INT64, [1]),
    ]
    graph = helper.make_graph([node], "g", inputs, [value("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(NodeError, match=r"Expand.*CML_MAX_TENSOR_BYTES"):
        cml.NumpyModule.from_onnx(model)(np.array(True), np.ones(1), np.array([HUGE]))
