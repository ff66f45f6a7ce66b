"""The loop: it gives nodes their inputs, keeps what is needed and drops what is not."""

import gc
import weakref

import numpy as np
import pytest

from cml_core.errors import NodeError
from cml_core.graph.bind import bind
from cml_core.graph.load import load_graph
from cml_core.interpreter import interpret, last_uses
from cml_core.numpy_module import NumpyModule
from tests.models import make_model, node, plugin, registry_with, value

X = np.array([1.0, -2.0], dtype=np.float32)


def bound(nodes, inputs, outputs, constants=None, **operators):
    """Nodes of the domain `test`, whose operators are given as functions."""
    ops = registry_with(
        **{name: plugin(name, numpy_op=function) for name, function in operators.items()}
    )
    model = make_model(nodes, dict.fromkeys(inputs), outputs, constants, domains={"test": 1})
    return bind(load_graph(model), ops)


def own(op_type, inputs, outputs):
    return node(op_type, inputs, outputs, domain="test", name="_".join(outputs))


def run(graph, values):
    names = [spec.name for spec in graph.outputs]

    def evaluate(each, tensors):
        return each.plugin.numpy_op(*tensors, **each.attributes)

    return interpret(graph.nodes, {**graph.constants, **values}, names, evaluate)


# --- what reaches whom ---


def test_omitted_inputs_arrive_as_none_and_omitted_outputs_are_forgotten():
    seen = []

    def both(*tensors):
        seen.append(tensors)
        return X + 1, X + 2

    graph = bound(
        [own("Both", ["x", "", "x"], ["", "y"]), own("Both", ["y", ""], ["z", ""])],
        ["x"],
        ["y", "z"],
        Both=both,
    )
    results = run(graph, {"x": X})
    assert seen[0][0] is seen[0][2] is X
    assert seen[0][1] is seen[1][1] is None
    np.testing.assert_array_equal(results["y"], X + 2)
    np.testing.assert_array_equal(results["z"], X + 1)


def test_optional_outputs_that_nobody_asked_for_may_be_returned_all_the_same():
    graph = bound([own("Pair", ["x"], ["y"])], ["x"], ["y"], Pair=lambda x: (x + 1, x + 2))
    np.testing.assert_array_equal(run(graph, {"x": X})["y"], X + 1)


def test_outputs_come_in_the_model_s_order():
    nodes = [own("Pair", ["x"], ["a", "b"])]
    graph = bound(nodes, ["x"], ["b", "a"], Pair=lambda x: (x, -x))
    assert list(run(graph, {"x": X})) == ["b", "a"]


@pytest.mark.parametrize("output", ["x", "c"], ids=["input", "initializer"])
def test_an_output_may_be_an_input_or_an_initializer(output):
    nodes = [node("Add", ["x", "c"], ["y"])]
    model = make_model(nodes, {"x": [2]}, ["y", output], {"c": X * 10})
    y, other = NumpyModule.from_onnx(model)(X)
    np.testing.assert_array_equal(y, X * 11)
    np.testing.assert_array_equal(other, X if output == "x" else X * 10)


@pytest.mark.parametrize("op_type", ["Identity", "Flatten", "Relu"])
def test_results_are_the_caller_s_own(op_type):
    model = make_model([node(op_type, ["x"], ["y"])], {"x": [2, 2]}, ["y", "x"])
    module, x = NumpyModule.from_onnx(model), np.ones((2, 2), np.float32)
    for result in module(x):
        result[...] = 7.0
    assert x.max() == 1.0


def test_results_do_not_give_away_the_model_s_constants():
    model = make_model([node("Add", ["x", "c"], ["y"])], {"x": [2]}, ["y", "c"], {"c": X})
    module = NumpyModule.from_onnx(model)
    module(X)[1][:] = 5.0
    np.testing.assert_array_equal(module(X)[1], X)


# --- what is dropped when ---


def test_last_uses_says_after_which_node_each_tensor_is_needed_no_more():
    nodes = [
        own("Two", ["x"], ["a", "unused"]),
        own("One", ["a"], ["b"]),
        own("One", ["a"], ["c"]),
        own("One", ["x"], ["d"]),
    ]
    functions = {"One": lambda x: (x,), "Two": lambda x: (x, x)}
    graph = bound(nodes, ["x"], ["b", "d"], **functions)
    assert last_uses(graph.nodes, ["b", "d"]) == (("unused",), (), ("a", "c"), ("x",))
    assert last_uses((), ["y"]) == ()


def test_tensors_are_dropped_after_their_last_use():
    alive = weakref.WeakValueDictionary()
    seen = {}

    class Watched(np.ndarray):
        """An array that can be watched."""

    def step(*tensors):
        gc.collect()
        seen[len(seen)] = sorted(alive)
        results = [np.zeros(2).view(Watched) for _ in range(2)]
        for k, result in enumerate(results):
            alive[f"{len(seen)}.{k}"] = result
        return tuple(results)

    nodes = [
        own("Step", ["x"], ["a", "unused"]),  # makes 1.0 and 1.1
        own("Step", ["x"], ["b", ""]),  # makes 2.0 and 2.1
        own("Step", ["a", "b"], ["c", "d"]),  # makes 3.0 and 3.1
        own("Step", ["c"], ["e", "f"]),  # makes 4.0 and 4.1
        own("Step", ["b"], ["y", "g"]),
    ]
    graph = bound(nodes, ["x"], ["y", "d"], Step=step)
    results = run(graph, {"x": X})
    assert seen == {
        0: [],
        1: ["1.0"],
        2: ["1.0", "2.0"],
        3: ["2.0", "3.0", "3.1"],
        4: ["2.0", "3.1"],
    }
    gc.collect()
    assert sorted(alive) == ["3.1", "5.0"]
    assert list(results) == ["y", "d"]


# --- operators that break their word ---


BROKEN = {
    "an array": (lambda x: x, "returned ndarray, not a tuple"),
    "nothing": (lambda x: None, "returned NoneType, not a tuple"),
    "too few": (lambda x: (x,), "returned 1 outputs, and the node has 2"),
}


@pytest.mark.parametrize(("function", "reason"), BROKEN.values(), ids=BROKEN)
def test_an_operator_that_returns_the_wrong_thing_is_named_with_its_plugin(function, reason):
    nodes = [node("Odd", ["x"], ["y", "z", ""], domain="test", name="odd")]
    model = make_model(nodes, {"x": [2]}, ["y", "z"], domains={"test": 1})
    module = NumpyModule.from_onnx(
        model, registry=registry_with(their_plugin=plugin("Odd", numpy_op=function))
    )
    with pytest.raises(NodeError, match=reason) as raised:
        module(X)
    assert (raised.value.node, raised.value.op_type) == ("odd", "Odd")
    assert "'their_plugin'" in raised.value.reason


def test_the_error_of_a_node_inside_an_operator_keeps_its_name():
    def outer(x):
        raise NodeError("inner", "Add", "it would not add")

    ops = registry_with(theirs=plugin("Outer", numpy_op=outer))
    nodes = [node("Outer", ["x"], ["y"], domain="test", name="outer")]
    model = make_model(nodes, {"x": [2]}, ["y"], domains={"test": 1})
    with pytest.raises(NodeError, match="it would not add") as raised:
        NumpyModule.from_onnx(model, registry=ops)(X)
    assert raised.value.node == "inner"


def test_numpy_scalars_become_arrays():
    ops = registry_with(a=plugin("Total", numpy_op=lambda x: (x.sum(),)))
    nodes = [node("Total", ["x"], ["y"], domain="test")]
    model = make_model(nodes, {"x": [2]}, [value("y", [])], domains={"test": 1})
    result = NumpyModule.from_onnx(model, registry=ops)(X)
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.dtype) == ((), np.float32)
