"""Reading an ONNX model: what is accepted, and every fault at once where it is not."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnx.defs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cml_core.errors import CmlError, InvalidModelError, ModelFileError
from cml_core.graph.load import OLDEST_OPSET, load_graph
from cml_core.numpy_module import NumpyModule
from tests.models import linear_model, make_model, node, relu_model, value

NEWEST_OPSET = onnx.defs.onnx_opset_version()


def faults_of(model):
    with pytest.raises(InvalidModelError) as raised:
        load_graph(model)
    for fault in raised.value.faults:
        assert fault in str(raised.value)
    return raised.value.faults


def single_fault(model):
    (fault,) = faults_of(model)
    return fault


# --- from where ---


class Somewhere(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


@pytest.mark.parametrize(
    "given_as",
    [str, Path, Somewhere, Path.read_bytes, lambda path: onnx.load(path)],
    ids=["text", "Path", "PathLike", "bytes", "ModelProto"],
)
def test_a_model_may_come_as_a_path_as_bytes_or_parsed(tmp_path, given_as):
    path = tmp_path / "linear.onnx"
    onnx.save(linear_model(), path)
    graph = load_graph(given_as(path))
    assert [n.op_type for n in graph.nodes] == ["Gemm"]
    assert graph.source == (str(path) if given_as in (str, Path, Somewhere) else "the model")
    assert graph.onnx_model == linear_model()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text\n", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not an ONNX file"),
        (onnx.ModelProto(producer_name="nobody").SerializeToString(), "holds no ONNX graph"),
        (linear_model().SerializeToString()[:-10], "truncated or not an ONNX file"),
    ],
    ids=["empty", "text", "picture", "no graph", "truncated"],
)
def test_a_file_that_is_no_onnx_model_is_refused(tmp_path, content, reason):
    path = tmp_path / "some.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=reason) as raised:
        load_graph(path)
    assert raised.value.source == str(path)
    with pytest.raises(ModelFileError, match=reason):
        load_graph(content)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent.onnx", "No such file"),
        ("", "Is a directory"),
        ("a\0b.onnx", "null"),
        ("n" * 300, "too long"),
    ],
    ids=["absent", "directory", "zero byte", "long name"],
)
def test_a_path_that_cannot_be_read_is_refused(tmp_path, path, reason):
    with pytest.raises(ModelFileError, match=reason):
        load_graph(f"{tmp_path}/{path}")


@pytest.mark.parametrize("thing", [None, 3, [1, 2], object()], ids=lambda t: type(t).__name__)
def test_what_is_no_model_at_all_is_refused_by_its_type(thing):
    with pytest.raises(ModelFileError, match=type(thing).__name__) as raised:
        load_graph(thing)
    assert "ONNX" in raised.value.hint


CONTENT = linear_model().SerializeToString()


@given(st.integers(0, len(CONTENT) - 1))
def test_a_truncated_model_is_refused_wherever_it_was_cut(length):
    with pytest.raises(ModelFileError):
        load_graph(CONTENT[:length])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=4))
def test_altered_bytes_never_cause_any_other_kind_of_error(changes):
    content = bytearray(CONTENT)
    for position, byte in changes:
        content[position] = byte
    try:
        load_graph(bytes(content))
    except CmlError as error:
        assert isinstance(error, (ModelFileError, InvalidModelError))


# --- opsets ---


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_every_opset_from_the_oldest_to_the_newest_is_read(opset):
    (only,) = load_graph(relu_model(opset=opset)).nodes
    assert only.opset == opset


def test_an_opset_that_is_too_new_is_refused():
    fault = single_fault(relu_model(opset=NEWEST_OPSET + 1))
    assert f"opset {NEWEST_OPSET + 1} of ai.onnx is not supported" in fault
    assert "upgrade the onnx package" in fault


def test_a_model_of_an_old_opset_is_converted():
    # Until opset 5, operators said which of their inputs they use up.
    nodes = [node("Relu", ["x"], ["y"], consumed_inputs=[0])]
    model = make_model(nodes, {"x": [1, 2]}, ["y"], opset=5)
    before = model.SerializeToString()
    module = NumpyModule.from_onnx(model)
    assert {bound.node.opset for bound in module.graph.nodes} == {OLDEST_OPSET}
    np.testing.assert_array_equal(module(np.array([[-1.0, 2.0]])), [[0, 2]])
    assert model.SerializeToString() == before


def test_an_old_model_that_cannot_be_converted_is_refused():
    fault = single_fault(make_model([node("Elu", ["x"], ["y"])], {"x": [2]}, ["z"], opset=5))
    assert "opset 5 of ai.onnx cannot be converted" in fault


def test_an_opset_of_another_domain_of_onnx_may_be_too_new_as_well():
    nodes = [node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml")]
    model = make_model(nodes, {"x": [2]}, ["y"], domains={"ai.onnx.ml": 99})
    assert "opset 99 of ai.onnx.ml is not supported" in single_fault(model)


def test_the_opset_of_a_domain_that_no_node_uses_does_not_matter():
    assert load_graph(relu_model(domains={"ai.onnx.ml": 99, "elsewhere": 1}))


def test_a_node_of_a_domain_that_is_not_imported_is_a_fault():
    nodes = [node("Cube", ["x"], ["y"], domain="elsewhere", name="cube")]
    fault = single_fault(make_model(nodes, {"x": [2]}, ["y"]))
    assert "node 'cube' (Cube) is of domain 'elsewhere'" in fault


def test_both_spellings_of_the_default_domain_are_one():
    model = relu_model()
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    (only,) = load_graph(model).nodes
    assert only.domain == ""
    model.opset_import.append(helper.make_opsetid("", 11))
    assert "opsets 17 and 11 of ai.onnx are imported" in single_fault(model)


# --- inputs, outputs and constants ---


def test_the_interface_is_read_with_its_symbols():
    inputs = [
        value("a", ["batch", 3, None]),
        value("b", [], TensorProto.INT64),
        value("c", None, TensorProto.BOOL),
        helper.make_tensor_value_info("d", TensorProto.STRING, [-1, 0]),
        helper.make_tensor_value_info("e", TensorProto.BFLOAT16, [2]),
    ]
    graph = load_graph(make_model([node("Relu", ["a"], ["y"])], inputs, [value("y", ["batch"])]))
    read = {spec.name: (str(spec.dtype), spec.shape) for spec in graph.inputs}
    assert read == {
        "a": ("float32", ("batch", 3, None)),
        "b": ("int64", ()),
        "c": ("bool", None),
        "d": ("object", (None, 0)),
        "e": ("bfloat16", (2,)),
    }
    assert [spec.describe() for spec in graph.inputs] == [
        "(batch, 3, ?)",
        "()",
        "any shape",
        "(?, 0)",
        "(2,)",
    ]
    assert [spec.has_batch_axis for spec in graph.inputs] == [True, False, False, True, False]


def test_initializers_that_are_listed_as_inputs_are_none():
    model = linear_model()
    model.graph.input.extend([value("w", [4, 3]), value("b", [3])])
    graph = load_graph(model)
    assert [spec.name for spec in graph.inputs] == ["x"]
    assert set(graph.initializers) == {"w", "b"}


def test_initializers_are_read_only():
    graph = load_graph(linear_model())
    with pytest.raises(ValueError, match="read-only"):
        graph.initializers["w"][0] = 1
    with pytest.raises(TypeError):
        graph.initializers["w"] = np.zeros(3)


def sparse(name, values, indices, shape):
    return helper.make_sparse_tensor(
        numpy_helper.from_array(np.array(values, np.float32), name),
        numpy_helper.from_array(np.array(indices, np.int64), name + "_indices"),
        shape,
    )


@pytest.mark.parametrize("indices", [[[0, 1], [1, 0]], [1, 3]], ids=["by axis", "linear"])
def test_sparse_initializers_become_dense(indices):
    model = make_model([node("Add", ["x", "s"], ["y"])], {"x": [2, 3]}, ["y"])
    model.graph.sparse_initializer.append(sparse("s", [5.0, 7.0], indices, [2, 3]))
    dense = load_graph(model).initializers["s"]
    np.testing.assert_array_equal(dense, np.array([[0, 5, 0], [7, 0, 0]], np.float32), strict=True)
    assert not dense.flags.writeable


@pytest.mark.parametrize(
    "indices", [[[0, 1], [2, 0]], [1, 6], [-1, 0], [1]], ids=["row", "place", "negative", "few"]
)
def test_sparse_initializers_with_wrong_indices_are_a_fault(indices):
    model = make_model([node("Add", ["x", "s"], ["y"])], {"x": [2, 3]}, ["y"])
    model.graph.sparse_initializer.append(sparse("s", [5.0, 7.0], indices, [2, 3]))
    assert "initializer 's' cannot be read" in single_fault(model)


def test_an_initializer_that_cannot_be_read_is_one_fault_and_not_two():
    model = linear_model()
    model.graph.initializer[0].raw_data = b"123"
    assert "initializer 'w' cannot be read" in single_fault(model)


# --- order and names ---


def test_nodes_in_any_order_come_out_sorted():
    nodes = [
        node("Add", ["p", "q"], ["y"], name="last"),
        node("Relu", ["p"], ["q"], name="middle"),
        node("Relu", ["x"], ["p"], name="first"),
    ]
    graph = load_graph(make_model(nodes, {"x": [2]}, ["y"]))
    assert [n.name for n in graph.nodes] == ["first", "middle", "last"]


def test_nodes_that_are_sorted_keep_their_order():
    nodes = [node("Relu", ["x"], [f"y{k}"], name=f"n{k}") for k in (2, 0, 1)]
    graph = load_graph(make_model(nodes, {"x": [2]}, ["y0", "y1", "y2"]))
    assert [n.name for n in graph.nodes] == ["n2", "n0", "n1"]


def test_what_a_subgraph_takes_from_outside_comes_before_it():
    def branch(name, used):
        inner = helper.make_graph(
            [node("Add", [used, "own"], [name])],
            name,
            [],
            [value(name, None)],
            [numpy_helper.from_array(np.float32(1), "own")],
        )
        outer = node("If", ["flag"], [name], then_branch=inner, else_branch=inner)
        return helper.make_graph([outer], name, [], [value(name, None)])

    nodes = [
        node("If", ["flag"], ["y"], then_branch=branch("t", "q"), else_branch=branch("e", "x")),
        node("Relu", ["x"], ["q"]),
    ]
    inputs = [value("flag", [], TensorProto.BOOL), value("x", [2])]
    graph = load_graph(make_model(nodes, inputs, ["y"]))
    assert [n.op_type for n in graph.nodes] == ["Relu", "If"]


def test_nodes_without_a_name_and_those_of_one_name_get_names_of_their_own():
    names = ["", "a", "Relu_0", "a", "a_3", "", "a"]
    nodes = [node("Relu", ["x"], [f"y{k}"], name=name) for k, name in enumerate(names)]
    graph = load_graph(make_model(nodes, {"x": [2]}, ["y0"]))
    given_names = [n.name for n in graph.nodes]
    assert len(set(given_names)) == len(names)
    # The first of several alike keeps its name, and no made-up name takes one that is given.
    assert given_names == ["Relu_0_2", "a", "Relu_0", "a_3_2", "a_3", "Relu_5", "a_6"]


def test_omitted_inputs_and_outputs_keep_their_places():
    nodes = [node("Clip", ["x", "", "most"], ["y", ""], name="clip")]
    graph = load_graph(make_model(nodes, {"x": [2]}, ["y"], {"most": np.float32(1)}))
    assert graph.nodes[0].inputs == ("x", "", "most")
    assert graph.nodes[0].outputs == ("y", "")


# --- faults ---


FAULTS = {
    "undefined tensor": (
        [node("Add", ["x", "z"], ["y"], name="sum")],
        ["node 'sum' uses tensor 'z', which nothing produces"],
    ),
    "produced twice": (
        [node("Relu", ["x"], ["y"], name="one"), node("Relu", ["x"], ["y"], name="two")],
        ["tensor 'y' is produced by node 'two' and also by node 'one'"],
    ),
    "produced twice by one node": (
        [node("Split", ["x"], ["y", "y"], name="split")],
        ["tensor 'y' is produced by node 'split' and also by node 'split'"],
    ),
    "input overwritten": (
        [node("Relu", ["x"], ["x"], name="one"), node("Relu", ["x"], ["y"])],
        ["tensor 'x' is produced by node 'one' and also by a model input"],
    ),
    "initializer overwritten": (
        [node("Relu", ["x"], ["w"], name="one"), node("Relu", ["x"], ["y"])],
        ["tensor 'w' is produced by node 'one' and also by an initializer"],
    ),
    "no producer of an output": (
        [node("Relu", ["x"], ["p"])],
        ["nothing produces the model's output 'y'"],
    ),
    "cycle": (
        [node("Add", ["x", "q"], ["p"], name="a"), node("Relu", ["p"], ["q"], name="b"),
         node("Relu", ["q"], ["y"], name="c")],
        ["the graph has a cycle through"],
    ),
    "cycle of one node": (
        [node("Add", ["x", "y"], ["y"], name="a")],
        ["the graph has a cycle through 'a'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), FAULTS.values(), ids=FAULTS)
def test_each_fault_of_the_nodes_is_named(nodes, expected):
    model = make_model(nodes, {"x": [2]}, ["y"], {"w": np.zeros(2, np.float32)})
    faults = faults_of(model)
    for text in expected:
        assert any(text in fault for fault in faults)


def test_a_cycle_names_its_nodes_and_no_others():
    fault = single_fault(make_model(FAULTS["cycle"][0], {"x": [2]}, ["y"]))
    assert "'a'" in fault
    assert "'b'" in fault
    assert "'c'" not in fault


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (["x", "x"], ["y"], "input 'x' is listed twice"),
        (["x"], ["y", "y"], "output 'y' is listed twice"),
        (["x", ""], ["y"], "an input of the model has no name"),
        (["x"], ["y", ""], "an output of the model has no name"),
        (["x"], [], "the model has no outputs"),
    ],
)
def test_each_fault_of_the_interface_is_named(inputs, outputs, expected):
    specs = [value(name, [2]) for name in inputs]
    model = make_model([node("Relu", ["x"], ["y"])], specs, outputs)
    assert single_fault(model) == expected


def test_faults_of_initializers_and_attributes_are_named():
    model = linear_model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1), "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1)))
    model.graph.node[0].attribute.append(onnx.AttributeProto(name="alpha"))
    model.graph.node[0].attribute.append(helper.make_attribute("beta", 1.0))
    model.graph.node[0].attribute.append(helper.make_attribute("beta", 2.0))
    faults = faults_of(model)
    assert len(faults) == 4
    assert faults[:2] == ("initializer 'w' is defined twice", "an initializer has no name")
    assert "attribute 'alpha' of node 'dense' cannot be read" in faults[2]
    assert faults[3] == "node 'dense' states attribute 'beta' twice"


def test_an_unknown_element_type_is_a_fault():
    model = relu_model()
    model.graph.input[0].type.tensor_type.elem_type = 99
    assert single_fault(model) == "tensor 'x' has unknown element type 99"


def test_all_faults_are_reported_together():
    nodes = [
        node("Add", ["x", "nowhere"], ["p"], name="one"),
        node("Cube", ["p"], ["p"], name="two", domain="elsewhere"),
        node("Add", ["x", "s"], ["r"], name="three"),
        node("Relu", ["r"], ["s"], name="four"),
    ]
    faults = faults_of(make_model(nodes, {"x": [2]}, ["y"], opset=NEWEST_OPSET + 1))
    expected = ["opset", "'elsewhere'", "'p' is produced", "'nowhere'", "output 'y'", "cycle"]
    assert all(any(text in fault for fault in faults) for text in expected)
    with pytest.raises(InvalidModelError, match=rf"\({len(faults)} faults\)"):
        load_graph(make_model(nodes, {"x": [2]}, ["y"], opset=NEWEST_OPSET + 1))


@pytest.mark.parametrize("text", ["?", "-1", "*"])
def test_what_is_no_name_of_a_size_leaves_it_open(text):
    """Paddle writes a question mark for each size that it does not know."""
    module = NumpyModule.from_onnx(relu_model([text, 3, text, text]))
    assert module.inputs[0].shape == (None, 3, None, None)
    assert module(np.ones((2, 3, 4, 5), np.float32)).shape == (2, 3, 4, 5)
