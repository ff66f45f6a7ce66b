"""Binding: which plugin serves a node, what stands in the way, and what is folded."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cml_core.errors import NodeError, UnsupportedNodesError
from cml_core.graph.bind import bind
from cml_core.graph.load import load_graph
from cml_core.numpy_module import NumpyModule
from cml_core.ops.schema import OpKey
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry, default_registry
from tests.models import linear_model, make_model, node, plugin, registry_with, relu_model

NEWEST_OPSET = onnx.defs.onnx_opset_version()


def bound(model, registry=None):
    return bind(load_graph(model), default_registry() if registry is None else registry)


def unsupported(model, registry=None):
    with pytest.raises(UnsupportedNodesError) as raised:
        bound(model, registry)
    for each in raised.value.nodes:
        assert each.describe() in str(raised.value)
    return raised.value.nodes


# --- plugins and attributes ---


@pytest.mark.parametrize("opset", range(7, NEWEST_OPSET + 1))
def test_a_network_binds_and_runs_at_every_opset(opset):
    nodes = [
        node("Gemm", ["x", "w", "b"], ["p"]),
        node("Relu", ["p"], ["q"]),
        node("Add", ["q", "b"], ["y"]),
    ]
    constants = {"w": np.eye(2, dtype=np.float32), "b": np.ones(2, np.float32)}
    model = make_model(nodes, {"x": [1, 2]}, ["y"], constants, opset=opset)
    np.testing.assert_array_equal(NumpyModule.from_onnx(model)(np.array([[-3, 2]])), [[1, 4]])


def test_the_revision_in_force_decides_plugin_and_defaults():
    nodes = [node("Relu", ["x"], ["p"]), node("Clip", ["p"], ["y"], max=6.0)]
    old = bound(make_model(nodes, {"x": [2]}, ["y"], opset=9))
    assert [b.key for b in old.nodes] == [OpKey("", "Relu", 6), OpKey("", "Clip", 6)]
    assert set(old.nodes[1].attributes) == {"min", "max"}
    assert old.nodes[1].attributes["max"] == 6.0
    new = bound(make_model([node("Clip", ["x"], ["y"])], {"x": [2]}, ["y"], opset=13))
    assert new.nodes[0].key == OpKey("", "Clip", 13)
    assert dict(new.nodes[0].attributes) == {}


def test_a_plugin_of_another_domain_brings_its_own_defaults():
    seen = {}

    def scale(x, **attributes):
        seen.update(attributes)
        return (x,)

    ops = registry_with(a=plugin("Scale", numpy_op=scale, attribute_defaults={"by": 2, "plus": 0}))
    nodes = [node("Scale", ["x"], ["y"], domain="test", plus=5)]
    model = make_model(nodes, {"x": [2]}, ["y"], domains={"test": 1})
    NumpyModule.from_onnx(model, registry=ops)(np.zeros(2))
    assert seen == {"by": 2, "plus": 5}


def test_a_plugin_that_counts_its_outputs_is_told_how_many_there_are():
    halves = plugin(
        "Halves", numpy_op=lambda x, *, n_outputs: (x / n_outputs,) * n_outputs, counts_outputs=True
    )
    nodes = [node("Halves", ["x"], ["a", "b", "c"], domain="test")]
    model = make_model(nodes, {"x": [2]}, ["c", "a"], domains={"test": 1})
    module = NumpyModule.from_onnx(model, registry=registry_with(theirs=halves))
    np.testing.assert_array_equal(module([3.0, 6.0]), [[1, 2], [1, 2]])


# --- what stands in the way ---


def test_every_unsupported_node_is_reported_with_its_reason():
    nodes = [
        node("Nothing", ["x"], ["a"], name="first", domain="test"),
        node("Relu", ["a"], ["b"], name="fine"),
        node("Relu", ["b"], ["c"], name="leaky", alpha=0.1),
        node("Cast", ["c"], ["d"], name="cast"),
        node("Upsample", ["d"], ["e"], name="last", mode="nearest"),
    ]
    model = make_model(nodes, {"x": [2]}, ["e"], domains={"test": 1})
    found = unsupported(model)
    assert [each.node for each in found] == ["first", "leaky", "cast", "last"]
    assert [each.reason for each in found] == [
        "no plugin provides Nothing",
        "ai.onnx::Relu-14 has no attribute alpha",
        "ai.onnx::Cast-13 needs the attribute to",
        "ai.onnx deprecated it in opset 10, and the model imports 17",
    ]
    with pytest.raises(UnsupportedNodesError, match=r"cannot be run: 4 nodes stand in the way"):
        bound(model)


@pytest.mark.parametrize(
    ("inputs", "attributes", "reason"),
    [
        (["x"], {"size": 2}, None),
        (["x", "x"], {"size": 2, "hop": 3}, None),
        (["x", "", "x"], {"size": 2}, "takes at most 2 inputs, and the node has 3"),
        ([], {"size": 2}, "takes at least 1 input, and the node has 0"),
        (["x"], {}, "needs the attribute size"),
        (["x"], {"size": 2, "pad": 1}, "has no attribute pad; it has hop, size"),
    ],
)
def test_what_an_operator_of_another_domain_cannot_take_is_told(inputs, attributes, reason):
    frames = plugin(
        "Frames", numpy_op=lambda x, y=None, *, size, hop: (x,), attribute_defaults={"hop": 1}
    )
    nodes = [node("Frames", inputs, ["y"], domain="test", **attributes)]
    model = make_model(nodes, {"x": [2]}, ["y"], domains={"test": 1})
    table = registry_with(theirs=frames)
    if reason is None:
        assert bound(model, table)
    else:
        (fault,) = unsupported(model, table)
        assert fault.reason == f"test::Frames-1 {reason}"


def test_a_revision_that_nobody_implements_is_refused_by_name():
    table = OpRegistry.from_plugins([LoadedPlugin("a", provides=plugin("Relu", (6,), domain=""))])
    assert bound(relu_model(opset=12), table)
    (only,) = unsupported(relu_model(opset=13), table)
    assert "revision 13 (opset 13) of Relu; implemented are 6" in only.reason
    assert only.hint == "Export the model at opset 6 to 12 (plugin 'a')."


def test_a_plugin_that_failed_is_quoted_in_the_error_of_a_model_that_needs_it():
    failed = LoadedPlugin("ops.relu", status="failed", error="ImportError: no libfoo")
    (only,) = unsupported(relu_model(), OpRegistry.from_plugins([failed]))
    assert "'ops.relu' failed to load (ImportError: no libfoo)" in only.hint


# --- constants ---


def test_what_depends_on_constants_alone_is_folded():
    calls = []

    def watched(x):
        calls.append(x)
        return (x + 1,)

    ops = registry_with(a=plugin("Watched", numpy_op=watched))
    nodes = [
        node("Add", ["x", "c"], ["y"]),
        node("Watched", ["b"], ["c"], domain="test"),
        node("Add", ["a", "a"], ["b"]),
        node("Watched", ["x"], ["z"], domain="test"),
    ]
    constants = {"a": np.ones(2, np.float32)}
    model = make_model(nodes, {"x": [2]}, ["y", "z"], constants, domains={"test": 1})
    module = NumpyModule.from_onnx(model, registry=ops)
    assert {b.node.outputs for b in module.graph.nodes} == {("y",), ("z",)}
    assert set(module.graph.constants) == {"c"}  # a and b are used no more
    assert len(calls) == 1
    for _ in range(2):
        np.testing.assert_array_equal(module.run({"x": np.zeros(2)})["y"], [3, 3])
    assert len(calls) == 3


def test_folded_constants_are_read_only():
    nodes = [node("Add", ["a", "a"], ["b"]), node("Add", ["x", "b"], ["y"])]
    graph = bound(make_model(nodes, {"x": [2]}, ["y"], {"a": np.ones(2, np.float32)}))
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["b"][0] = 5
    with pytest.raises(TypeError):
        graph.constants["b"] = None


def test_an_omitted_output_of_a_folded_node_is_forgotten():
    ops = registry_with(theirs=plugin("Pair", numpy_op=lambda x: (x, x + 1)))
    nodes = [node("Pair", ["a"], ["", "b"], domain="test"), node("Add", ["x", "b"], ["y"])]
    constants = {"a": np.ones(2, np.float32)}
    model = make_model(nodes, {"x": [2]}, ["y"], constants, domains={"test": 1})
    module = NumpyModule.from_onnx(model, registry=ops)
    assert set(module.graph.constants) == {"b"}
    np.testing.assert_array_equal(module([0, 0]), [2, 2])


def test_nothing_random_is_folded():
    nodes = [node("RandomNormal", [], ["r"], shape=[9]), node("Add", ["x", "r"], ["y"])]
    module = NumpyModule.from_onnx(make_model(nodes, {"x": [9]}, ["y"]))
    assert not np.array_equal(module(np.zeros(9)), module(np.zeros(9)))


def test_a_constant_that_cannot_be_computed_is_refused_by_its_node():
    nodes = [node("Add", ["a", "b"], ["c"], name="sum"), node("Add", ["x", "c"], ["y"])]
    constants = {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}
    with pytest.raises(NodeError) as raised:
        bound(make_model(nodes, {"x": [2]}, ["y"], constants))
    assert (raised.value.node, raised.value.op_type) == ("sum", "Add")
    assert "float32(2,), float32(3,)" in raised.value.reason


TENSOR = numpy_helper.from_array(np.array([[1, 2]], np.int16), "t")
SPARSE = helper.make_sparse_tensor(
    numpy_helper.from_array(np.array([1.5]), "values"),
    numpy_helper.from_array(np.array([1])),
    [1, 2],
)


@pytest.mark.parametrize(
    ("attribute", "stated", "expected"),
    [
        ("value", TENSOR, np.array([[1, 2]], np.int16)),
        ("sparse_value", SPARSE, np.array([[0, 1.5]])),
        ("value_int", 3, np.array(3, np.int64)),
        ("value_ints", [3, 4], np.array([3, 4], np.int64)),
        ("value_float", 0.1, np.array(0.1, np.float32)),
        ("value_floats", [0.1, 2.0], np.array([0.1, 2.0], np.float32)),
        ("value_string", "one", np.array("one", object)),
        ("value_strings", ["one", "two"], np.array(["one", "two"], object)),
    ],
)
def test_constants_in_all_forms(attribute, stated, expected):
    model = make_model([node("Constant", [], ["c"], **{attribute: stated})], {}, ["c"])
    module = NumpyModule.from_onnx(model)
    assert module.graph.nodes == ()
    result = module()
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("opset", [9, 11, 12, 13, NEWEST_OPSET])
def test_constants_at_several_opsets(opset):
    nodes = [node("Constant", [], ["c"], value=TENSOR)]
    result = NumpyModule.from_onnx(make_model(nodes, {}, ["c"], opset=opset))()
    np.testing.assert_array_equal(result, [[1, 2]])


@pytest.mark.parametrize("stated", [{}, {"value_int": 1, "value_float": 1.0}])
def test_a_constant_that_states_no_value_or_two_is_refused(stated):
    with pytest.raises(NodeError, match="exactly one of"):
        bound(make_model([node("Constant", [], ["c"], **stated)], {}, ["c"]))


def test_the_representation_of_a_bound_graph_is_short():
    assert len(repr(bound(linear_model(500, 500)))) < 300
