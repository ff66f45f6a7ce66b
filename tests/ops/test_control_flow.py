"""Loop, Scan and SequenceMap: iterations, and what is wrong with graphs and inputs."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.errors import InputDtypeError, NodeError
from tests.models import make_model, node, value

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
onnxruntime = pytest.importorskip("onnxruntime")


def of_onnxruntime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feeds)


def expect_same(model, feeds):
    wanted = of_onnxruntime(model, feeds)
    got = list(cml.NumpyModule.from_onnx(model).run(feeds).values())
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


# --- Loop ---


def loop_model(limit=100.0, *, trips=True, condition=True, opset=17):
    """Double a number until it passes a limit; keep every value, and the number of each turn."""
    body = helper.make_graph(
        [
            node("Add", ["x", "x"], ["twice"]),
            node("Less", ["twice", "limit"], ["go_on"]),
            node("Identity", ["twice"], ["kept"]),
            node("Cast", ["trip"], ["number"], to=FLOAT),
        ],
        "body",
        [value("trip", [], INT64), value("going", [], BOOL), value("x", [1])],
        [value("go_on", [1], BOOL), value("twice", [1]), value("kept", [1]), value("number", [])],
    )
    names = ["m" if trips else "", "c" if condition else "", "start"]
    inputs = [value("start", [1])]
    inputs += [value("m", [], INT64)] if trips else []
    inputs += [value("c", [], BOOL)] if condition else []
    loop = node("Loop", names, ["last", "all", "numbers"], name="doubling", body=body)
    constants = {"limit": np.array([limit], np.float32)}
    return make_model([loop], inputs, ["last", "all", "numbers"], constants, opset=opset)


def loop_feeds(trips=None, condition=None):
    feeds = {"start": np.array([1.5], np.float32)}
    feeds |= {} if trips is None else {"m": np.array(trips)}
    return feeds | ({} if condition is None else {"c": np.array(condition)})


@pytest.mark.parametrize("opset", [11, 13, 16, 19, 21])
@pytest.mark.parametrize(
    ("trips", "condition"),
    [(4, True), (40, True), (0, True), (4, False), (4, None), (None, True), (None, False)],
)
def test_loop(trips, condition, opset):
    given = {"trips": trips is not None, "condition": condition is not None}
    expect_same(loop_model(opset=opset, **given), loop_feeds(trips, condition))


def test_a_trip_count_of_several_numbers_is_refused():
    model = loop_model()
    model.graph.input[1].CopyFrom(value("m", [2], INT64))
    feeds = loop_feeds([3, 4], True)
    with pytest.raises(NodeError, match=r"M has shape \(2,\), expected one number"):
        cml.NumpyModule.from_onnx(model).run(feeds)


def test_a_graph_that_does_not_fit_the_loop_is_refused():
    model = loop_model()
    del model.graph.node[0].input[2:]
    with pytest.raises(NodeError, match=r"'doubling'.*3 inputs"):
        cml.NumpyModule.from_onnx(model).run(loop_feeds(3, True))


def test_outputs_whose_shapes_change_cannot_grow():
    body = helper.make_graph(
        [node("Concat", ["x", "x"], ["longer"], axis=0), node("Identity", ["going"], ["go_on"])],
        "body",
        [value("trip", [], INT64), value("going", [], BOOL), value("x", ["n"])],
        [value("go_on", [], BOOL), value("longer", ["n"]), value("longer", ["n"])],
    )
    loop = node("Loop", ["m", "", "x"], ["last", "all"], body=body)
    model = make_model([loop], [value("m", [], INT64), value("x", ["n"])], ["last", "all"])
    with pytest.raises(NodeError, match="a single shape"):
        cml.NumpyModule.from_onnx(model)(np.array(2), np.ones(1))


def test_a_sequence_is_carried_through_a_loop():
    body = helper.make_graph(
        [node("SequenceInsert", ["s", "x"], ["t"]), node("Identity", ["going"], ["go_on"])],
        "body",
        [
            value("trip", [], INT64),
            value("going", [], BOOL),
            helper.make_tensor_sequence_value_info("s", FLOAT, None),
        ],
        [value("go_on", [], BOOL), helper.make_tensor_sequence_value_info("t", FLOAT, None)],
    )
    nodes = [
        node("SequenceEmpty", [], ["empty"]),
        node("Loop", ["m", "", "empty"], ["copies"], body=body),
        node("ConcatFromSequence", ["copies"], ["y"], axis=0),
    ]
    expect_same(
        make_model(nodes, [value("m", [], INT64), value("x", [2])], ["y"]),
        {"m": np.array(3), "x": np.array([1, 2], np.float32)},
    )


# --- Scan ---


def scan_model(opset=17, **attributes):
    """Carry a sum over two inputs; keep the sums and the products."""
    body = helper.make_graph(
        [
            node("Mul", ["a", "b"], ["product"]),
            node("Add", ["total", "product"], ["next"]),
            node("Identity", ["next"], ["sums"]),
        ],
        "body",
        [value("total", [2]), value("a", [2]), value("b", [2])],
        [value("next", [2]), value("sums", [2]), value("product", [2])],
    )
    scan = node(
        "Scan",
        ["start", "x", "z"],
        ["last", "sums", "products"],
        name="scanning",
        num_scan_inputs=2,
        body=body,
        **attributes,
    )
    inputs = [value("start", [2]), value("x", [None, None]), value("z", [None, None])]
    return make_model([scan], inputs, ["last", "sums", "products"], opset=opset)


def scan_feeds(rows=3, other=None, transposed=False):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2)).astype(np.float32)
    z = rng.normal(size=(rows if other is None else other, 2)).astype(np.float32)
    return {"start": np.ones(2, np.float32), "x": x.T.copy() if transposed else x, "z": z}


@pytest.mark.parametrize("opset", [9, 11, 16, 21])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scan_input_directions": [1, 0]},
        {"scan_output_directions": [0, 1]},
        {"scan_input_axes": [1, 0], "scan_output_axes": [1, 0]},
        {"scan_input_axes": [-1, -2], "scan_output_axes": [-1, -2]},
    ],
)
def test_scan(attributes, opset):
    if opset == 9 and min(attributes.get("scan_input_axes", [0])) < 0:
        pytest.skip("axes count from the end since opset 11")
    transposed = attributes.get("scan_input_axes", [0])[0] != 0
    expect_same(scan_model(opset, **attributes), scan_feeds(transposed=transposed))


def test_scan_over_nothing_gives_outputs_of_no_elements():
    last, sums, products = cml.NumpyModule.from_onnx(scan_model()).run(scan_feeds(0)).values()
    np.testing.assert_array_equal(last, [1, 1])
    assert sums.shape == products.shape == (0, 2)


@pytest.mark.parametrize(
    ("attributes", "feeds", "match"),
    [
        ({}, scan_feeds(3, 4), "axes of one size"),
        ({"scan_input_axes": [2, 0]}, scan_feeds(), "scan_input_axes is 2"),
        ({"scan_output_axes": [0, 5]}, scan_feeds(), "5"),
        ({"scan_input_axes": [0]}, scan_feeds(), "2 values"),
        ({"scan_output_directions": [2, 0]}, scan_feeds(), "each 0 or 1"),
    ],
)
def test_scans_that_cannot_be(attributes, feeds, match):
    with pytest.raises(NodeError, match=match) as raised:
        cml.NumpyModule.from_onnx(scan_model(**attributes)).run(feeds)
    assert raised.value.node == "scanning"


# --- sequences and optionals ---


def sequence_model(*nodes, outputs=("y",), inputs=(), optional=False):
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    kind = helper.make_optional_type_proto(kind) if optional else kind
    return make_model(nodes, [helper.make_value_info("s", kind), *inputs], list(outputs))


AT = sequence_model(node("SequenceAt", ["s", "i"], ["y"]), inputs=[value("i", [], INT64)])


def test_sequences_are_given_as_lists_and_come_as_tuples():
    model = sequence_model(node("Identity", ["s"], ["y"]))
    given = [np.ones(2), [3, 4]]
    y = cml.NumpyModule.from_onnx(model)(given)
    assert isinstance(y, tuple)
    assert [tensor.dtype for tensor in y] == [np.float32, np.float32]
    np.testing.assert_array_equal(y[1], [3, 4])


def test_sequences_that_come_out_are_not_those_that_went_in():
    given = (np.ones(2, np.float32),)
    y = cml.NumpyModule.from_onnx(sequence_model(node("Identity", ["s"], ["y"])))(given)
    assert not np.shares_memory(y[0], given[0])


@pytest.mark.parametrize("position", [2, -3])
def test_positions_beyond_a_sequence_are_refused(position):
    module = cml.NumpyModule.from_onnx(AT)
    with pytest.raises(NodeError, match=f"position is {position}, expected from -2 to 1"):
        module([np.ones(1), np.ones(1)], np.array(position))


@pytest.mark.parametrize("given", [np.ones(2), None, "ab", {"a": 1}])
def test_what_is_no_sequence_is_refused(given):
    module = cml.NumpyModule.from_onnx(AT)
    with pytest.raises(InputDtypeError, match="sequence of float32"):
        module(given, np.array(0))


def test_sequences_of_other_dtypes_are_refused():
    module = cml.NumpyModule.from_onnx(AT)
    with pytest.raises(InputDtypeError, match="'s'"):
        module([np.array(["text"])], np.array(0))


@pytest.mark.parametrize("given", [None, (), (np.ones(2, np.float32),)])
def test_an_optional_may_be_empty(given):
    model = sequence_model(node("OptionalHasElement", ["s"], ["y"]), optional=True)
    assert cml.NumpyModule.from_onnx(model)(given) == (given is not None)


def test_the_element_of_an_empty_optional_is_refused():
    model = sequence_model(node("OptionalGetElement", ["s"], ["y"]), optional=True)
    with pytest.raises(NodeError, match="empty"):
        cml.NumpyModule.from_onnx(model)(None)


@pytest.mark.parametrize(
    ("split", "match"),
    [([1, 1], "add up to 3"), ([4, -1], "add up to 3"), (0, "at least 1")],
)
def test_splits_that_do_not_fit_are_refused(split, match):
    nodes = [node("SplitToSequence", ["x", "k"], ["s"]), node("SequenceLength", ["s"], ["y"])]
    inputs = [value("x", [3]), value("k", list(np.shape(split)), INT64)]
    with pytest.raises(NodeError, match=match):
        cml.NumpyModule.from_onnx(make_model(nodes, inputs, ["y"]))(np.ones(3), np.array(split))


@pytest.mark.parametrize("split", [None, 1, 2, 3, 5, [3], [0, 1, 2]])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("size", [0, 3])
def test_split_to_sequence(split, keepdims, size):
    if size != 3 and isinstance(split, list):
        pytest.skip("these sizes add up to 3")
    feeds = {"x": np.arange(2 * size, dtype=np.float32).reshape(2, size)}
    got = cml.NumpyModule.from_onnx(split_model(split, keepdims)).run(feeds)
    # Where sizes are given, keepdims counts for nothing; onnxruntime follows it all the same.
    model = split_model(split, keepdims if split is None else 1)
    for ours, theirs in zip(got.values(), of_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


def split_model(split, keepdims):
    names = ["x"] if split is None else ["x", "k"]
    nodes = [
        node("SplitToSequence", names, ["s"], axis=-1, keepdims=keepdims),
        node("SequenceLength", ["s"], ["count"]),
        node("SequenceInsert", ["s", "end"], ["t"]),
        node("SequenceAt", ["t", "first"], ["y"]),
    ]
    constants = {"first": np.array(0), "end": np.zeros((1, 1), np.float32)}
    constants |= {} if split is None else {"k": np.array(split)}
    outputs = [value("count", [], INT64), value("y", None)]
    return make_model(nodes, {"x": [2, "n"]}, outputs, constants)


def test_a_map_over_sequences_of_different_lengths_is_refused():
    body = helper.make_graph(
        [node("Add", ["a", "b"], ["sum"])],
        "body",
        [value("a", [1]), value("b", [1])],
        [value("sum", [1])],
    )
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("SequenceConstruct", ["x"], ["t"]),
        node("SequenceMap", ["s", "t"], ["u"], name="adding", body=body),
        node("ConcatFromSequence", ["u"], ["y"], axis=0),
    ]
    with pytest.raises(NodeError, match=r"'adding'.*sequences of 2"):
        cml.NumpyModule.from_onnx(make_model(nodes, {"x": [1]}, ["y"]))(np.ones(1))
