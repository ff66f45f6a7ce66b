"""ONNX attributes as Python and NumPy values, and what schemas say of them."""

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from cml_core.graph.attributes import decode_attribute, schema_defaults, schema_faults
from cml_core.graph.load import load_graph
from cml_core.graph.model import TensorSpec
from cml_core.ops.schema import OpKey
from tests.models import make_model, node, value

TENSOR = numpy_helper.from_array(np.array([1, 2], np.int32), "t")
SPARSE = helper.make_sparse_tensor(TENSOR, numpy_helper.from_array(np.array([0, 3])), [2, 2])
DENSE = np.array([[1, 0], [0, 2]], np.int32)
GRAPH = helper.make_graph([], "g", [], [])
TYPE = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3, 3),
        (0.5, 0.5),
        ("text", "text"),
        ("", ""),
        (b"caf\xc3\xa9", "café"),
        ([1, 2], (1, 2)),
        ([0.5, 1.5], (0.5, 1.5)),
        (["a", "b"], ("a", "b")),
        (GRAPH, GRAPH),
        ([GRAPH, GRAPH], (GRAPH, GRAPH)),
        (TYPE, TYPE),
        ([TYPE], (TYPE,)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_attributes_become_plain_values(given, expected):
    decoded = decode_attribute(helper.make_attribute("a", given))
    assert decoded == expected
    assert type(decoded) is type(expected)


@pytest.mark.parametrize("kind", ["INTS", "FLOATS", "STRINGS", "TENSORS", "GRAPHS"])
def test_empty_lists_become_empty_tuples(kind):
    assert decode_attribute(AttributeProto(name="a", type=getattr(AttributeProto, kind))) == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [(TENSOR, np.array([1, 2], np.int32)), (SPARSE, DENSE)],
    ids=["tensor", "sparse tensor"],
)
def test_tensors_become_read_only_arrays(given, expected):
    for attribute in (helper.make_attribute("a", given), helper.make_attribute("a", [given])):
        decoded = decode_attribute(attribute)
        (array,) = decoded if isinstance(decoded, tuple) else (decoded,)
        np.testing.assert_array_equal(array, expected, strict=True)
        assert not array.flags.writeable


def test_text_that_is_not_utf8_survives():
    decoded = decode_attribute(helper.make_attribute("a", b"\xff\x00"))
    assert decoded.encode("utf-8", "surrogateescape") == b"\xff\x00"


def test_an_attribute_without_a_type_is_a_fault_and_not_a_guess():
    with pytest.raises(ValueError, match="type"):
        decode_attribute(AttributeProto(name="a", i=3))


def test_the_nodes_of_a_graph_carry_decoded_attributes():
    transpose = node("Transpose", ["x"], ["y"], perm=[1, 0])
    (only,) = load_graph(make_model([transpose], {"x": [2, 3]}, ["y"])).nodes
    assert dict(only.attributes) == {"perm": (1, 0)}
    with pytest.raises(TypeError):
        only.attributes["perm"] = (0, 1)


# --- schemas ---


def test_defaults_are_those_of_the_revision():
    gemm = schema_defaults(OpKey("", "Gemm", 13))
    assert dict(gemm) == {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    assert schema_defaults(OpKey("", "Softmax", 1))["axis"] == 1
    assert schema_defaults(OpKey("", "Softmax", 13))["axis"] == -1
    assert schema_defaults(OpKey("", "Transpose", 13)) == {"perm": None}
    assert "to" not in schema_defaults(OpKey("", "Cast", 13))
    assert schema_defaults(OpKey("test", "Cube", 1)) == {}


@pytest.mark.parametrize(
    ("op_type", "version", "attributes", "n_inputs", "n_outputs", "expected"),
    [
        ("Gemm", 13, ["alpha", "transA"], 3, 1, []),
        ("Gemm", 13, ["gamma", "delta"], 2, 1, ["has no attribute delta, gamma"]),
        ("Cast", 13, [], 1, 1, ["needs the attribute to"]),
        ("Gemm", 13, [], 1, 1, ["takes at least 2 inputs, and the node has 1"]),
        ("Relu", 14, [], 2, 1, ["takes at most 1 input, and the node has 2"]),
        ("Relu", 14, [], 1, 2, ["takes at most 1 output, and the node has 2"]),
        ("Concat", 13, ["axis"], 50, 1, []),
        ("Concat", 13, ["axes"], 0, 1, ["no attribute axes", "attribute axis", "at least 1 input"]),
    ],
)
def test_nodes_that_contradict_their_schema_are_told_all_of_it(
    op_type, version, attributes, n_inputs, n_outputs, expected
):
    faults = schema_faults(OpKey("", op_type, version), attributes, n_inputs, n_outputs)
    assert len(faults) == len(expected)
    for fault, text in zip(faults, expected, strict=True):
        assert f"{op_type}-{version}" in fault
        assert text in fault


def test_operators_that_onnx_does_not_know_have_no_schema_to_contradict():
    assert schema_faults(OpKey("test", "Cube", 1), ["anything"], 9, 9) == ()


def test_every_attribute_default_of_onnx_can_be_decoded():
    for schema in onnx.defs.get_all_schemas_with_history():
        defaults = schema_defaults(OpKey(schema.domain, schema.name, schema.since_version))
        assert set(defaults) == {n for n, a in schema.attributes.items() if not a.required}


def test_a_value_info_says_what_tensors_come_in():
    sequence = helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, [2, None])
    )
    optional = helper.make_value_info("x", helper.make_optional_type_proto(sequence))
    graph = load_graph(make_model([node("Identity", ["x"], ["y"])], [optional], [value("y", None)]))
    (spec,) = graph.inputs
    assert spec == TensorSpec("x", np.dtype("float32"), (2, None), ("optional", "sequence"))
    assert spec.kind == "optional sequence of float32"
