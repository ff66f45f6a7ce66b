"""Graphs within nodes: what they see, how they are bound, and what is wrong with them."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.errors import InvalidModelError, NodeError, QuantizationError, UnsupportedNodesError
from tests.models import make_model, node, value

X = np.array([1.0, -2.0], np.float32)


def branch(nodes, output, initializers=None):
    model = make_model(nodes, {}, [output], initializers)
    model.graph.name = output
    return model.graph


def if_model(then, otherwise, *, inputs=None, before=(), initializers=None, **options):
    """A model that takes one of two graphs by whether `c` is true."""
    inputs = inputs or [value("x", [2]), value("c", [], TensorProto.BOOL)]
    choice = node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=otherwise)
    return make_model([*before, choice], inputs, ["y"], initializers, **options)


def twice_or_negative(**options):
    then = branch([node("Add", ["x", "x"], ["twice"])], "twice")
    return if_model(then, branch([node("Neg", ["x"], ["negative"])], "negative"), **options)


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 21])
def test_a_graph_sees_the_tensors_around_it(opset):
    module = cml.NumpyModule.from_onnx(twice_or_negative(opset=opset))
    np.testing.assert_array_equal(module(X, np.array(True)), 2 * X)
    np.testing.assert_array_equal(module(X, np.array(False)), -X)


def test_nodes_are_ordered_by_what_their_graphs_take_from_outside():
    then = branch([node("Add", ["later", "x"], ["sum"])], "sum")
    model = if_model(then, branch([node("Neg", ["later"], ["negative"])], "negative"))
    # The node that the graphs depend on stands last in the file.
    model.graph.node.append(node("Exp", ["x"], ["later"]))
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_allclose(module(X, np.array(True)), np.exp(X) + X)


def test_graphs_within_graphs_see_all_that_is_around_them():
    inner = branch([node("Mul", ["x", "local"], ["product"])], "product")
    outer = branch(
        [
            node("Exp", ["x"], ["local"]),
            node("If", ["c"], ["chosen"], then_branch=inner, else_branch=inner),
        ],
        "chosen",
    )
    module = cml.NumpyModule.from_onnx(if_model(outer, outer))
    np.testing.assert_allclose(module(X, np.array(True)), X * np.exp(X), rtol=1e-6)


def test_a_graph_may_give_a_tensor_of_the_graph_around_it():
    module = cml.NumpyModule.from_onnx(if_model(branch([], "x"), branch([], "x")))
    y = module(X, np.array(True))
    np.testing.assert_array_equal(y, X)
    assert not np.shares_memory(y, X)


def test_constants_of_the_graph_around_are_folded_within():
    weights = {"w": np.array([3.0, 4.0], np.float32), "c": np.array(True)}
    then = branch([node("Neg", ["w"], ["n"]), node("Add", ["n", "x"], ["sum"])], "sum")
    model = if_model(then, then, inputs={"x": [2]}, initializers=weights)
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(X), X - weights["w"])
    (only,) = module.graph.nodes
    assert [inner.key.op_type for inner in only.attributes["then_branch"].graph.nodes] == ["Add"]


def test_what_depends_on_constants_alone_is_folded_with_its_graphs():
    then = branch([node("Constant", [], ["one"], value_floats=[1.0])], "one")
    model = if_model(then, then, inputs={"x": [1]}, initializers={"c": np.array(True)}, before=())
    model.graph.node.append(node("Add", ["x", "y"], ["z"]))
    model.graph.output[0].name = "z"
    module = cml.NumpyModule.from_onnx(model)
    assert [bound.key.op_type for bound in module.graph.nodes] == ["Add"]
    np.testing.assert_array_equal(module(np.array([2.0])), [3.0])


def test_random_nodes_within_a_graph_are_not_folded():
    then = branch([node("RandomUniform", [], ["r"], shape=[50])], "r")
    model = if_model(then, then, inputs={"x": [1]}, initializers={"c": np.array(True)})
    module = cml.NumpyModule.from_onnx(model)
    assert not np.array_equal(module(np.zeros(1)), module(np.zeros(1)))


def test_faults_within_graphs_are_reported_with_their_place():
    bad = branch([node("Add", ["x", "nowhere"], ["sum"], name="adding")], "sum")
    with pytest.raises(InvalidModelError) as raised:
        cml.NumpyModule.from_onnx(if_model(bad, branch([], "missing")))
    first, second = raised.value.faults
    assert first == (
        "in graph 'then_branch' of node 'choice': "
        "node 'adding' uses tensor 'nowhere', which nothing produces"
    ) or second.startswith("in graph 'then_branch'")
    assert any("'missing'" in fault for fault in raised.value.faults)


def test_unsupported_nodes_within_graphs_are_named_with_the_node_around_them():
    bad = branch([node("Cube", ["x"], ["cubed"], name="cube", domain="elsewhere")], "cubed")
    with pytest.raises(UnsupportedNodesError) as raised:
        cml.NumpyModule.from_onnx(if_model(bad, bad, domains={"elsewhere": 1}))
    assert [each.node for each in raised.value.nodes] == ["choice/cube", "choice/cube"]


def test_a_node_that_fails_within_a_graph_is_named():
    then = branch([node("Reshape", ["x", "s"], ["r"], name="shaping")], "r", {"s": np.array([3])})
    module = cml.NumpyModule.from_onnx(if_model(then, then))
    with pytest.raises(NodeError) as raised:
        module(X, np.array(True))
    assert raised.value.node == "choice/shaping"


def test_a_condition_of_several_elements_is_refused():
    model = twice_or_negative(inputs=[value("x", [2]), value("c", [2], TensorProto.BOOL)])
    with pytest.raises(NodeError, match="one boolean"):
        cml.NumpyModule.from_onnx(model)(X, np.array([True, False]))


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_graph_on_encrypted_tensors_is_the_clients_or_refused_by_name(goes_on):
    constants = {"c": np.array(True), "w": np.float32([[1, -1], [2, 0.5]])}
    inputs = [value("x", ["batch", 2])]
    model = twice_or_negative(inputs=inputs, initializers=constants)
    if goes_on:
        model.graph.node.append(node("MatMul", ["y", "w"], ["z"]))
        model.graph.output[0].name = "z"
    module = cml.NumpyModule.from_onnx(model)
    data = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    if goes_on:
        with pytest.raises((QuantizationError, UnsupportedNodesError), match="choice"):
            cml.quantize(module, data, n_bits=4)
    else:
        np.testing.assert_allclose(cml.quantize(module, data, n_bits=8)(data), 2 * data, atol=0.1)


# --- functions ---


def with_function(body, *, op_type="Twice", **options):
    """A model that calls a function of its own."""
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("mine", op_type, ["a"], ["b"], body, opsets)
    model = make_model(
        [node(op_type, ["x"], ["y"], domain="mine")],
        {"x": ["batch", 2]},
        ["y"],
        domains={"mine": 1},
        **options,
    )
    model.functions.append(function)
    return model


def test_functions_of_a_model_are_written_out():
    model = with_function([node("Add", ["a", "a"], ["b"])])
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(X[np.newaxis]), 2 * X[np.newaxis])
    assert [bound.key.op_type for bound in module.graph.nodes] == ["Add"]
    assert len(model.functions) == 1


def test_a_function_is_quantized_like_what_it_is_written_with():
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, -1.0, 0.5, 2.0])
    body = [
        node("Constant", [], ["w"], value=weights),
        node("MatMul", ["a", "w"], ["p"]),
        node("Relu", ["p"], ["b"]),
    ]
    module = cml.NumpyModule.from_onnx(with_function(body, op_type="Dense"))
    data = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    quantized = cml.quantize(module, data, n_bits=6)
    assert np.abs(quantized(data) - module(data)).max() < 0.2


def test_a_function_with_a_node_that_nothing_serves_is_reported():
    body = [node("Cube", ["a"], ["b"], domain="elsewhere")]
    model = with_function(body, op_type="Thrice")
    model.functions[0].opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(UnsupportedNodesError, match="Cube"):
        cml.NumpyModule.from_onnx(model)
