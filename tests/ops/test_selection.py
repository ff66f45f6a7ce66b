"""Selection of encrypted elements: the largest, the first k, and by encrypted indices."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import Net

fhe = pytest.mark.fhe
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")

INT64 = 7
FLOAT = 1


def integer_net(size, *, opset=18, seed=0):
    """A network on a row of small integers, which an input of 3 bits holds exactly."""
    return Net(["n", size], seed=seed, opset=opset)


def integers(size, count=300, *, low=0, high=7, seed=1):
    """Rows of integers with many ties; both ends occur."""
    values = np.random.default_rng(seed).integers(low, high + 1, (count, size))
    values[0], values[1] = low, high
    return values.astype(np.float32)


def on_server(model, calibration, n_bits=3, **options):
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, tail="server", **options)
    return module, cml.quantize(module, calibration, config)


def several_outputs(net, op_type, inputs, count, **attributes):
    """Add a node with several outputs; returns their names."""
    names = [f"{op_type.lower()}_{place}" for place in range(count)]
    net.nodes.append(helper.make_node(op_type, inputs, names, name=op_type.lower(), **attributes))
    return names


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("size", [2, 3, 4, 9, 16])
@pytest.mark.parametrize("last", [0, 1])
def test_the_best_place_is_exact_on_the_grid_with_ties_as_onnx_says(op_type, size, last):
    net = integer_net(size)
    place = net.add(op_type, "x", axis=1, select_last_index=last)
    # Calibration sees rising rows only: what it has not seen must still be right.
    seen = np.sort(integers(size, 40), axis=1)
    module, quantized = on_server(net.model(net.add("Cast", place, to=FLOAT)), seen)
    unseen = integers(size, seed=2)
    np.testing.assert_array_equal(quantized(unseen), module(unseen))


@pytest.mark.parametrize(
    ("size", "lookups"),
    [
        (2, 1),
        (3, 3 + 2),
        (8, 7 + 7 + 6),
    ],
)
def test_the_best_place_takes_the_lookups_it_says(size, lookups):
    net = integer_net(size)
    _, quantized = on_server(net.model(net.add("ArgMax", "x", axis=1)), integers(size))
    assert quantized.report().lookups == lookups


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_hardmax_marks_the_first_of_the_largest(size):
    net = integer_net(size)
    module, quantized = on_server(net.model(net.add("Hardmax", "x", axis=1)), integers(size, 40))
    unseen = integers(size, seed=2)
    np.testing.assert_array_equal(quantized(unseen), module(unseen))


@pytest.mark.parametrize(("size", "k"), [(2, 1), (2, 2), (4, 2), (5, 5), (12, 1), (12, 3)])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k_is_exact_on_the_grid(size, k, largest):
    net = integer_net(size)
    names = several_outputs(
        net, "TopK", ["x", net.constant(np.array([k]))], 2, axis=-1, largest=largest
    )
    seen = np.sort(integers(size, 40), axis=1)
    module, quantized = on_server(net.model(names[0], net.add("Cast", names[1], to=FLOAT)), seen)
    unseen = integers(size, seed=2)
    for got, wanted in zip(quantized(unseen), module(unseen), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_many_elements_are_ranked_in_rounds_and_few_in_pairs():
    def lookups(size, k):
        net = integer_net(size)
        names = several_outputs(net, "TopK", ["x", net.constant(np.array([k]))], 2)
        _, quantized = on_server(net.model(*names), integers(size))
        return quantized.report().lookups

    # Pairs, ranks by place (the last of each by subtraction), and tournaments for the values.
    assert lookups(4, 4) == 6 + 3 * 3 + (3 + 2 + 1)
    # Twice: a tournament, a comparison with its winner, and the search for the first equal.
    assert lookups(32, 2) == 2 * (31 + 31 + 30) + 32


@pytest.mark.parametrize("op_type", ["ArgMax", "Hardmax"])
def test_a_layer_chooses_for_the_next_one(op_type):
    net = Net(["n", 6])
    scores = net.dense("x", 6, 4)
    chosen = net.add(op_type, scores, axis=1)
    if op_type == "ArgMax":
        chosen = net.add("Cast", chosen, to=FLOAT)
    model = net.model(chosen)
    module = cml.NumpyModule.from_onnx(model)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)).astype(np.float32)
    _, quantized = on_server(model, x, n_bits=5)
    y = rng.normal(size=(200, 6)).astype(np.float32).clip(x.min(0), x.max(0))
    assert (quantized(y) == module(y)).reshape(200, -1).all(axis=1).mean() > 0.85


def test_what_the_client_can_find_itself_stays_with_it():
    net = Net(["n", 6])
    names = several_outputs(net, "TopK", [net.dense("x", 6, 4), net.constant(np.array([2]))], 2)
    x = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(net.model(*names))
    assert cml.quantize(module, x, n_bits=5).report().lookups == 0


@compiled
@pytest.mark.parametrize(("op_type", "size"), [("ArgMax", 8), ("ArgMin", 3), ("Hardmax", 5)])
def test_selection_simulates_as_it_computes(op_type, size):
    net = integer_net(size)
    _, quantized = on_server(net.model(net.add(op_type, "x", axis=1)), integers(size, 40))
    unseen = integers(size, 5, seed=2)
    np.testing.assert_array_equal(quantized.compile().simulate(unseen), quantized(unseen))


def index_model(op_type, data, shape, *, encrypt_data=False, **attributes):
    """A model of one node that takes encrypted indices of a fixed shape."""
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info("indices", TensorProto.INT64, list(shape))]
    constants = [numpy_helper.from_array(data, "data")]
    if encrypt_data:
        kind = kinds[data.dtype.name]
        inputs.append(helper.make_tensor_value_info("data", kind, list(data.shape)))
        constants = []
    graph = helper.make_graph(
        [helper.make_node(op_type, ["data", "indices"], ["y"], name="node", **attributes)],
        "g",
        inputs,
        [helper.make_tensor_value_info("y", kinds[data.dtype.name], None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(
    ("op_type", "data_shape", "index_shape", "attributes"),
    [
        ("Gather", (5,), (3,), {}),
        ("Gather", (2, 5, 3), (2, 2), {"axis": 1}),
        ("Gather", (5, 7), (2,), {}),
        ("Gather", (5, 7), (), {}),
        ("GatherElements", (3, 5), (2, 4), {"axis": -1}),
        ("GatherND", (5, 2), (3, 1), {}),
        ("GatherND", (2, 5, 2), (2, 1), {"batch_dims": 1}),
    ],
)
@pytest.mark.parametrize("encrypt_data", [False, True])
def test_encrypted_indices_choose_what_clear_ones_do(
    op_type, data_shape, index_shape, attributes, encrypt_data
):
    rng = np.random.default_rng(0)
    data = rng.integers(-3, 5, data_shape)
    data.reshape(-1)[:2] = -3, 4
    model = index_model(op_type, data, index_shape, encrypt_data=encrypt_data, **attributes)
    feeds = {"indices": rng.integers(-5, 5, (40, *index_shape))}
    feeds["indices"][0], feeds["indices"][1] = -5, 4
    if encrypt_data:
        feeds["data"] = rng.integers(-3, 5, (40, *data_shape))
        feeds["data"][0], feeds["data"][1] = -3, 4
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(4, tail="server")
    quantized = cml.quantize(module, feeds, config)
    for sample in range(10):
        one = {name: value[sample] for name, value in feeds.items()}
        stacked = {name: value[sample : sample + 1] for name, value in feeds.items()}
        (wanted,) = module.run(one).values()
        (got,) = quantized.run(stacked).values()
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=0.5)


def test_encrypted_indices_of_several_parts_are_refused():
    model = index_model("GatherND", np.zeros((2, 2), dtype=np.float32), (3, 2))
    module = cml.NumpyModule.from_onnx(model)
    with pytest.raises(cml.CmlError, match="several parts"):
        cml.quantize(module, {"indices": np.ones((4, 3, 2), dtype=np.int64)})


def test_an_embedding_wider_than_high_is_a_product():
    net = integer_net(1)
    table = net.constant(np.random.default_rng(0).normal(size=(8, 20)))
    index = net.add("Cast", "x", to=INT64)
    rows = net.add("Reshape", net.add("Gather", table, index), net.constant(np.array([-1, 20])))
    module, quantized = on_server(
        net.model(net.dense(rows, 20, 3)), integers(1), n_bits=6, input_bits=3
    )
    assert quantized.report().lookups == 8
    x = integers(1, seed=2)
    wanted = module(x)
    noise = np.square(quantized(x) - wanted).mean()
    assert 10 * np.log10(wanted.var() / noise) > 25


@pytest.mark.parametrize("axis", [0, 3, -4])
def test_an_axis_without_meaning_is_named(axis):
    x = np.zeros((0, 2, 2), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("ArgMax", ["x"], ["y"], axis=axis)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(cml.CmlError, match="axis"):
        cml.NumpyModule.from_onnx(model)(x)
