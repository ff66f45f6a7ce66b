"""Lowering whole networks: what costs a lookup, what does not, how accurate the integers are."""

import warnings

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.errors import QuantizationError, UnsupportedNodesError
from cml_core.program.instructions import Opcode
from tests.models import make_model, node, plugin, registry_with
from tests.networks import Net, mlp, residual_cnn, samples


def quantize(model, data, **options):
    module = cml.NumpyModule.from_onnx(model)
    options.setdefault("n_bits", 4)
    config = cml.QuantConfig.with_bits(options.pop("n_bits"), **options)
    return module, cml.quantize(module, data, config)


def signal_to_noise(reference, result):
    noise = np.square(result - reference).mean()
    return 10 * np.log10(np.square(reference - reference.mean()).mean() / max(noise, 1e-30))


def test_lookups_equal_the_activations_that_feed_another_linear_layer():
    _, quantized = quantize(mlp([10, 7, 5, 3]), samples([10]))
    assert quantized.report().lookups == 7 + 5


def test_chains_of_elementwise_operators_and_batch_norms_and_the_tail_add_no_lookup():
    net = Net(["batch", 6])
    x = net.dense("x", 6, 5)
    x = net.batch_norm(x, 5)
    x = net.add("Mul", net.add("Relu", x), net.constant([1.0, 2.0, 0.5, 1.0, 3.0]))
    x = net.add("Mul", x, net.add("Sigmoid", x))
    x = net.add("Tanh", net.add("Add", x, net.constant(0.1)))
    x = net.dense(x, 5, 4)
    x = net.add("Softmax", net.add("Mul", net.add("Sigmoid", x), net.constant(3.0)), axis=1)
    module, quantized = quantize(net.model(x), samples([6]), n_bits=6)
    assert quantized.report().lookups == 5
    data = samples([6])
    assert signal_to_noise(module(data), quantized(data)) > 15


def test_lookups_are_put_down_to_the_node_that_made_the_tensor():
    _, quantized = quantize(mlp([4, 3, 2]), samples([4]))
    assert {node.node for node in quantized.report().nodes if node.lookups} == {"relu1"}


def test_relu_of_what_cannot_be_negative_costs_nothing():
    net = Net(["batch", 4])
    x = net.add("Gemm", "x", net.constant(np.ones((4, 3))))
    x = net.dense(net.add("Relu", x), 3, 2)
    data = np.abs(samples([4]))
    _, quantized = quantize(net.model(x), data, ranges="proven")
    assert quantized.report().lookups == 0


@pytest.mark.parametrize(("bits", "least"), [(4, 12), (6, 22), (8, 30)])
def test_more_bits_bring_the_residual_network_closer_to_float(bits, least):
    module, quantized = quantize(residual_cnn(), samples([1, 6, 6], 100), n_bits=bits)
    data = samples([1, 6, 6], 50, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cml.SaturationWarning)
        assert signal_to_noise(module(data), quantized(data)) > least


def test_the_skip_connection_costs_no_lookup_of_its_own():
    _, quantized = quantize(residual_cnn(side=6, channels=4), samples([1, 6, 6]))
    # Three activations feed another layer: the stem's and the two of the block, all 4x6x6.
    assert quantized.report().lookups == 3 * 4 * 6 * 6


@pytest.mark.parametrize("ranges", ["calibrated", "proven"])
def test_integers_stay_in_their_intervals_on_calibration_data(ranges):
    data = samples([8], 200)
    _, quantized = quantize(mlp([8, 6, 4, 2]), data, ranges=ranges)
    quantized(data)  # an OverflowWarning would be an error


def test_proven_ranges_cannot_be_left_by_any_input():
    data = samples([8], 50)
    _, quantized = quantize(mlp([8, 6, 4, 2]), data, ranges="proven")
    rng = np.random.default_rng(0)
    worst = rng.choice([data.min(), data.max()], size=(2000, 8)).astype(np.float32)
    quantized(worst)  # an OverflowWarning would be an error


def test_leaving_calibrated_ranges_is_reported():
    data = samples([8], 20)
    _, quantized = quantize(mlp([8, 6, 4, 2]), data, margin=0.0)
    rng = np.random.default_rng(0)
    worst = rng.choice([data.min(), data.max()], size=(2000, 8)).astype(np.float32)
    with pytest.warns(cml.OverflowWarning, match="calibrated"):
        quantized(worst)


def test_inputs_out_of_range_saturate_with_a_warning_and_never_wrap():
    data = samples([4], 50)
    _, quantized = quantize(mlp([4, 2]), data)
    with pytest.warns(cml.SaturationWarning, match="'x'"):
        far = quantized(np.full((1, 4), 1e6, dtype=np.float32))
    edge = quantized(np.full((1, 4), data.max(), dtype=np.float32))
    np.testing.assert_array_equal(far, edge)


def test_weight_and_activation_bits_can_differ_per_node():
    data = samples([6])
    _, wide = quantize(mlp([6, 5, 4]), data, n_bits=6, nodes={"gemm2": {"activation_bits": 2}})
    tables = [i for i in wide.program.instructions if i.opcode is Opcode.LOOKUP]
    assert [int(i.interval.high) for i in tables] == [3]


def test_without_rounding_accumulators_enter_their_lookups_whole():
    _, rounded = quantize(mlp([16, 8, 4]), samples([16]), rounding_bits=5)
    _, whole = quantize(mlp([16, 8, 4]), samples([16]), rounding_bits=None)
    assert set(rounded.report().nodes[2].lookups) == {5}
    assert min(whole.report().nodes[2].lookups) > 5
    assert not any(i.opcode is Opcode.ROUND for i in whole.program.instructions)


def test_the_servers_tail_requantizes_its_last_function():
    net = Net(["batch", 4])
    model = net.model(net.add("Sigmoid", net.dense("x", 4, 3)))
    data = samples([4])
    module, client = quantize(model, data, n_bits=6)
    _, server = quantize(model, data, n_bits=6, tail="server")
    assert client.report().lookups == 0
    assert server.report().lookups == 3
    assert client.client.tail is not None
    assert server.client.tail is None
    for quantized in (client, server):
        assert np.abs(quantized(data) - module(data)).max() < 0.1


def test_a_model_without_linear_layers_is_the_servers():
    net = Net(["batch", 4])
    data = samples([4])
    module, quantized = quantize(net.model(net.add("Relu", "x")), data, n_bits=8)
    assert quantized.client.tail is None
    assert np.abs(quantized(data) - module(data)).max() < 0.05


def test_float_only_operators_in_the_middle_are_all_listed():
    net = Net(["batch", 4])
    x = net.add("Half", net.dense("x", 4, 4), domain="test")
    x = net.add("Half", net.dense(x, 4, 4), domain="test")
    model = net.model(net.dense(x, 4, 2))
    model.opset_import.append(onnx.helper.make_opsetid("test", 1))
    module = cml.NumpyModule.from_onnx(model, registry=registry_with(half=plugin("Half")))
    with pytest.raises(UnsupportedNodesError) as caught:
        cml.quantize(module, samples([4]))
    assert [node.op_type for node in caught.value.nodes] == ["Half", "Half"]
    assert "float only" in str(caught.value)


def test_what_an_operator_cannot_do_names_the_node():
    net = Net([1, 1, 2, 2])
    filters = net.add("Mul", "x", net.constant(2.0))
    module = cml.NumpyModule.from_onnx(net.model(net.add("Conv", "x", filters)))
    with pytest.raises(QuantizationError, match=r"conv1.*input W is encrypted"):
        cml.quantize(module, samples([1, 1, 2, 2], 5))


def test_batches_of_any_size_agree_with_single_samples():
    data = samples([5], 7)
    _, quantized = quantize(mlp([5, 4, 3]), samples([5], 100, seed=8), margin=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cml.SaturationWarning)
        together = quantized(data)
        apart = np.concatenate([quantized(row[None]) for row in data])
    np.testing.assert_array_equal(together, apart)
    assert quantized(data[:0]).shape == (0, 3)


def test_every_stage_of_a_quantized_module_is_open():
    data = samples([5], 30)
    _, quantized = quantize(mlp([5, 4, 3]), data)
    integers = quantized.quantize_inputs({"x": data})
    assert all(q.dtype == np.int64 and q.min() >= 0 and q.max() <= 15 for q in integers)
    results = quantized._forward(*integers)
    assert all(q.dtype == np.int64 for q in results)
    np.testing.assert_array_equal(
        next(iter(quantized.dequantize_outputs(*results).values())), quantized(data)
    )


def test_a_dense_layer_is_the_integer_product_and_nothing_else():
    """The result is exactly scale * (integers @ integer weights) + offset, channel by channel."""
    data = samples([5], 30)
    net = Net(["batch", 5])
    weight = net.rng.normal(size=(5, 3)).astype(np.float32)
    bias = net.rng.normal(size=3).astype(np.float32)
    model = net.model(net.add("Gemm", "x", net.constant(weight), net.constant(bias)))
    _, quantized = quantize(model, data, bias_correction=False)
    (code,), (result,) = quantized.client.inputs, quantized.client.outputs
    (q,) = quantized.quantize_inputs({"x": data})
    (product,) = (i for i in quantized.program.instructions if i.opcode is Opcode.MATMUL)
    integers = product.constants["weight"]
    step = result.scale[result.channel[0]] / code.scale
    assert np.abs(integers).max() <= 7
    # Adaptive rounding may pass a neighbour, but not by more than that.
    assert np.abs(integers * step - weight).max() <= 2 * step.max()
    real_input = code.scale * q[:, 0] + code.offset
    zero_point_terms = code.offset * (weight - integers * step).sum(axis=0)
    expected = real_input @ (integers * step) + zero_point_terms + bias
    np.testing.assert_allclose(quantized(data), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_functions_that_are_all_but_flat_have_no_exact_grid(preset):
    net = Net(["batch", 4])
    module = cml.NumpyModule.from_onnx(net.model(net.add("Sigmoid", "x")))
    data = np.float32([[-2000.0, -500.0, 900.0, 1500.0]])
    quantized = cml.quantize(module, data, getattr(cml.QuantConfig, preset)(tail="server"))
    np.testing.assert_allclose(quantized(data), module(data), atol=0.05)


@pytest.mark.parametrize("seed", [None, 3.0])
def test_numbers_drawn_at_random_need_a_seed(seed):
    attributes = {"shape": [1, 2], **({} if seed is None else {"seed": seed})}
    model = make_model(
        [
            node("RandomUniform", [], ["noise"], name="drawn", **attributes),
            node("Add", ["x", "noise"], ["moved"]),
            node("MatMul", ["moved", "w"], ["y"]),
        ],
        {"x": ["batch", 2]},
        ["y"],
        {"w": np.float32([[1, -0.5], [0.25, 2]])},
    )
    module = cml.NumpyModule.from_onnx(model)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)
    if seed is None:
        with pytest.raises(UnsupportedNodesError, match="draws other numbers each time") as raised:
            cml.quantize(module, x, n_bits=6)
        assert [fault.node for fault in raised.value.nodes] == ["drawn"]
    else:
        quantized = cml.quantize(module, x, n_bits=6)
        np.testing.assert_allclose(quantized(x), module(x), atol=0.1)


@pytest.mark.parametrize(
    "chosen",
    [
        "If (single) <then_branch = a () => (float[2] p) { p = Neg (c) }, "
        "else_branch = b () => (float[2] q) { q = Identity (c) }>",
        "Loop (shape, , c) <body = b (int64 i, bool t, float[2] a) => (bool o, float[2] d) "
        "{ o = Identity (t) d = Add (a, a) }>",
    ],
)
def test_control_flow_on_clear_values_is_not_taken_for_random(chosen):
    """ONNX calls If and Loop not deterministic, as what is within them may be."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[1, 4] x) => (float[1, 2] y) '
        "<float[4, 2] w = {1., -1., 0.5, 2., -0.5, 1., 1., 0.25}, float[2] c = {1., 2.}, "
        "int64 one = {1}, float[2, 2] u = {1., 2., 3., -1.}> "
        f"{{ shape = Shape <start = 0, end = 1> (x) single = Equal (shape, one) k = {chosen} "
        "h = MatMul (x, w) r = Relu (h) s = Mul (r, k) v = MatMul (s, u) y = Relu (v) }"
    )
    module, x = cml.NumpyModule.from_onnx(model), samples([4], 50)
    wanted = np.concatenate([module(x[i : i + 1]) for i in range(len(x))])
    quantized = cml.quantize(module, x, n_bits=7)(x)
    assert np.abs(quantized - wanted).max() < 0.05 * np.abs(wanted).max()
