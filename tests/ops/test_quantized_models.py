"""Models that are quantized already: their integers are taken as they are."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.errors import AttributeValueError, NodeError, QuantizationError
from cml_core.fhe.backend import installed_backends
from cml_core.program.instructions import Opcode
from tests.networks import Net

fhe = pytest.mark.fhe
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")


def single(op_type, *inputs, opset=21, n_outputs=1, **attributes):
    """Return a model of one node, all of whose inputs are the model's, and arrays for it."""
    feeds = {f"i{k}": np.asarray(v) for k, v in enumerate(inputs) if v is not None}
    names = [f"i{k}" if v is not None else "" for k, v in enumerate(inputs)]
    outputs = [f"o{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="node", **attributes)],
        "one",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10), feeds


def run(*arguments, **options):
    model, feeds = single(*arguments, **options)
    return list(cml.NumpyModule.from_onnx(model).run(feeds).values())


def assert_as_onnxruntime(*arguments, **options):
    model, feeds = single(*arguments, **options)
    onnxruntime = pytest.importorskip("onnxruntime")
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    got = cml.NumpyModule.from_onnx(model).run(feeds).values()
    for one, other in zip(got, wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def integers(rng, dtype, *shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


# --- float ---


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_quantizing_and_back_gives_the_integers_of_onnxruntime(dtype, axis):
    rng = np.random.default_rng(axis + 1)
    x = (rng.normal(size=(3, 4, 5)) * 40).astype(np.float32)
    halves = np.round(2 * x) / 2
    one = np.float32(0.5), integers(rng, dtype)
    count = x.shape[axis]
    many = rng.uniform(0.01, 1, count).astype(np.float32), integers(rng, dtype, count)
    shape = list(x.shape)
    shape[axis] = -(-count // 2)
    blocks = rng.uniform(0.01, 1, shape).astype(np.float32), integers(rng, dtype, *shape)
    assert_as_onnxruntime("QuantizeLinear", halves, *one)
    back = integers(rng, dtype, *x.shape)
    for parameters, options in ((many, {}), (blocks, {"block_size": 2})):
        assert_as_onnxruntime("QuantizeLinear", x, *parameters, axis=axis, **options)
        assert_as_onnxruntime("DequantizeLinear", back, *parameters, axis=axis, **options)
    assert_as_onnxruntime("DequantizeLinear", back, np.float16(0.3), one[1])


@pytest.mark.parametrize("kinds", [(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_products_give_the_integers_of_onnxruntime(kinds, per_channel):
    rng = np.random.default_rng(0)
    of_x, of_w = kinds
    count = 6 if per_channel else 1
    scale = np.squeeze(rng.uniform(0.001, 0.02, count).astype(np.float32))
    zero = np.squeeze(np.full(count, 0 if of_w == np.int8 else 7, of_w))
    x, x_zero = integers(rng, of_x, 2, 4, 6, 7), integers(rng, of_x)
    w = integers(rng, of_w, 6, 2, 2, 3)
    options = {"group": 2, "pads": [1, 0, 2, 1], "strides": [1, 2], "dilations": [2, 1]}
    bias = rng.integers(-1000, 1000, 6).astype(np.int32)
    result = np.float32(0.2), integers(rng, of_x)
    arguments = (x, np.float32(0.02), x_zero, w, scale, zero, *result, bias)
    assert_as_onnxruntime("QLinearConv", *arguments, **options)
    a, b = integers(rng, of_x, 2, 5, 8), integers(rng, of_w, 8, 6)
    arguments = (a, np.float32(0.02), x_zero, b, scale, zero, *result)
    assert_as_onnxruntime("QLinearMatMul", *arguments)
    assert_as_onnxruntime("MatMulInteger", a, b, x_zero, zero)
    if not per_channel:
        assert_as_onnxruntime("ConvInteger", x, w, x_zero, zero, **options)


@pytest.mark.parametrize("shift", [-5.0, 0.0, 5.0])
def test_dynamic_quantization_gives_the_integers_of_onnxruntime(shift):
    x = np.random.default_rng(0).normal(shift, 1, (3, 7)).astype(np.float32)
    assert_as_onnxruntime("DynamicQuantizeLinear", x, opset=11, n_outputs=3)
    assert_as_onnxruntime("DynamicQuantizeLinear", np.zeros_like(x), opset=11, n_outputs=3)


def test_numbers_far_out_of_range_saturate_on_their_own_side():
    x = np.float32([-1e30, -np.inf, 1e30, np.inf])
    (y,) = run("QuantizeLinear", x, np.float32(1e-3), np.int8(5))
    assert y.tolist() == [-128, -128, 127, 127]


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT4E2M1"])
def test_small_types_come_back_as_what_they_hold(kind):
    x = np.float32([0.5, 1.0, 1.5, 3.0])
    (y,) = run(
        "QuantizeLinear", x, np.float32(0.5), opset=23, output_dtype=getattr(TensorProto, kind)
    )
    (back,) = run("DequantizeLinear", y, np.float32(0.5), opset=23)
    np.testing.assert_array_equal(back, x)


def test_empty_and_scalar_tensors():
    for shape in ((0, 3), ()):
        (y,) = run("QuantizeLinear", np.ones(shape, np.float32), np.float32(0.5), np.int8(1))
        assert (y.dtype, y.shape) == (np.int8, shape)
        (back,) = run("DequantizeLinear", y, np.float16(0.5), np.int8(1))
        assert (back.dtype, back.shape) == (np.float16, shape)
    y, scale, zero = run("DynamicQuantizeLinear", np.zeros((0, 2), np.float32), n_outputs=3)
    assert (y.shape, scale.shape, zero.shape) == ((0, 2), (), ())
    (y,) = run("MatMulInteger", np.zeros((0, 3), np.int8), np.ones((3, 2), np.int8))
    assert (y.dtype, y.shape) == (np.int32, (0, 2))


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "name"),
    [
        ("QuantizeLinear", (np.ones((2, 3)), np.ones(2)), {"axis": 1}, "scale and zero point"),
        ("QuantizeLinear", (np.ones((2, 3)), np.ones(2)), {"axis": 4}, "axis"),
        ("QuantizeLinear", (np.ones((2, 3)), np.ones((2, 2))), {"block_size": 1}, "block_size"),
        ("QuantizeLinear", (np.ones((2, 3)), np.ones((2, 2))), {"block_size": -1}, "block_size"),
        ("QuantizeLinear", (np.ones(2), np.ones(()), np.int8(0)), {"output_dtype": 2}, "output_dt"),
        ("QuantizeLinear", (np.ones(2), np.ones(())), {"output_dtype": 999}, "output_dtype"),
        ("DequantizeLinear", (np.int8([1]), np.ones(())), {"output_dtype": 999}, "output_dtype"),
        ("MatMulInteger", (np.int8([[1], [2]]), np.int8([[1]]), np.int8([1] * 3)), {}, "scale"),
        ("ConvInteger", (np.ones((1, 3, 4), np.int8), np.ones((2, 2, 2), np.int8)), {}, "group"),
    ],
)
def test_what_does_not_fit_is_said(op_type, inputs, attributes, name):
    inputs = [v.astype(np.float32) if v.dtype == np.float64 else v for v in inputs]
    opset = 23 if "output_dtype" in attributes else 21
    with pytest.raises((AttributeValueError, NodeError), match=name):
        run(op_type, *inputs, opset=opset, **attributes)


# --- on encrypted integers ---


def exact(n_bits=2, **options):
    return cml.QuantConfig.with_bits(n_bits, rounding_bits=None, **options)


def count(quantized, opcode):
    return [i for i in quantized.program.instructions if i.opcode is opcode]


def qdq(net, x, scale, zero=0):
    """Quantize a tensor and take it back."""
    constants = net.constant(np.float32(scale)), net.constant(np.uint8(zero))
    return net.add("DequantizeLinear", net.add("QuantizeLinear", x, *constants), *constants)


def weights(net, integers, scale):
    """A weight as a quantizer stores it: integers, dequantized in the graph."""
    scale = np.float32(scale)
    return net.add("DequantizeLinear", net.constant(integers), net.constant(scale))


def qdq_network(*, size=3, hidden=4, top=3, seed=0, scale=0.25):
    """Return two dense layers with quantization before each."""
    net = Net(["n", size], seed=seed, opset=21)
    x = qdq(net, "x", 0.5, 3)
    w1 = net.rng.integers(-top, top + 1, (size, hidden)).astype(np.int8)
    w2 = net.rng.integers(-top, top + 1, (hidden, 2)).astype(np.int8)
    w1[:2], w2[:2] = np.int8([[1], [top]]), np.int8([[1], [top]])
    bias = net.constant(net.rng.integers(-8, 8, hidden) * 0.125)
    y = net.add("Relu", net.add("Gemm", x, weights(net, w1, scale), bias))
    return net, net.add("Gemm", qdq(net, y, 2.0), weights(net, w2, scale))


def small_inputs(size=3, samples=60, seed=1):
    """Inputs that span the grid of eight values that `qdq_network` puts its input on."""
    x = np.random.default_rng(seed).uniform(-1.5, 2.0, (samples, size)).astype(np.float32)
    x[0], x[1] = -1.5, 2.0
    return x


def test_a_quantized_network_keeps_its_integers_whatever_bits_were_chosen():
    net, y = qdq_network()
    module = cml.NumpyModule.from_onnx(net.model(y))
    quantized = cml.quantize(module, small_inputs(), exact(2))
    unseen = small_inputs(seed=2)
    np.testing.assert_array_equal(quantized(unseen), module(unseen))
    # The input costs no lookup, the hidden layer one per unit.
    assert len(count(quantized, Opcode.LOOKUP)) == 1
    assert quantized.report().lookups == 4
    (entry,) = count(quantized, Opcode.INPUT)
    assert entry.interval.high == 7


@fhe
@compiled
def test_a_quantized_network_is_exact_on_encrypted_integers():
    net, y = qdq_network(top=1)
    module = cml.NumpyModule.from_onnx(net.model(y))
    quantized = cml.quantize(module, small_inputs(), exact(2, margin=0.0))
    circuit = quantized.compile()
    unseen = small_inputs(samples=8, seed=2)
    np.testing.assert_array_equal(circuit.simulate(unseen), quantized(unseen))
    circuit.keygen()
    np.testing.assert_array_equal(circuit.predict(unseen[:1]), module(unseen[:1]))


@pytest.mark.parametrize("scale", [2.0**-6, 0.0123])
def test_weights_of_eight_bits_keep_them(scale):
    net, y = qdq_network(size=40, hidden=8, top=127, scale=scale)
    module = cml.NumpyModule.from_onnx(net.model(y))
    quantized = cml.quantize(module, small_inputs(40), exact(4))
    unseen = small_inputs(40, seed=2)
    np.testing.assert_allclose(quantized(unseen), module(unseen), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize(("pooled", "n_bits"), [(False, 3), (True, 8)])
def test_a_network_of_quantized_operators_keeps_its_integers(kind, pooled, n_bits):
    net = Net(["n", 1, 4, 4], opset=21)
    one, zero = net.constant(np.float32(0.5)), net.constant(kind(3))
    images = net.add("QuantizeLinear", "x", one, zero)
    w = net.constant(net.rng.integers(-5, 6, (2, 1, 2, 2)).astype(np.int8))
    of_w = net.constant(np.float32([0.3, 0.7])), net.constant(np.int8([0, 0]))
    of_y = net.constant(np.float32(1.7)), net.constant(kind(11))
    bias = net.constant(np.int32([4, -9]))
    y = net.add("QLinearConv", images, one, zero, w, *of_w, *of_y, bias, pads=[1, 0, 0, 0])
    if pooled:
        # Compares what is no wider than the activations that the user chose, and narrows the rest.
        y = net.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 1])
    y = net.add("Flatten", y)
    v = net.constant(net.rng.integers(-9, 10, (8 if pooled else 24, 3)).astype(np.int8))
    of_v = net.constant(np.float32(0.2)), net.constant(np.int8(2))
    result = net.constant(np.float32(3.1)), net.constant(kind(7))
    y = net.add("QLinearMatMul", y, *of_y, v, *of_v, *result)
    module = cml.NumpyModule.from_onnx(net.model(net.add("DequantizeLinear", y, *result)))
    rng = np.random.default_rng(0)
    calibration, unseen = (rng.uniform(-1.5, 2, (n, 1, 4, 4)).astype(np.float32) for n in (300, 50))
    quantized = cml.quantize(module, calibration, exact(n_bits))
    np.testing.assert_array_equal(quantized(unseen), module(unseen))
    on_server = cml.quantize(module, calibration, exact(n_bits, tail="server"))
    np.testing.assert_array_equal(on_server(unseen), module(unseen))
    # The client decodes the last layer, whose lookups are left out.
    assert on_server.report().lookups == quantized.report().lookups + 3


def test_a_dynamically_quantized_layer_has_the_scale_of_the_calibration_data():
    net = Net([1, 4], opset=17)
    net.nodes.append(
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], name="dynamic")
    )
    w = net.rng.integers(-100, 100, (4, 3)).astype(np.int8)
    product = net.add("MatMulInteger", "q", net.constant(w), "zero")
    product = net.add("Cast", product, to=TensorProto.FLOAT)
    y = net.add("Mul", product, net.add("Mul", "scale", net.constant(0.01)))
    module = cml.NumpyModule.from_onnx(net.model(y))
    x = np.random.default_rng(0).uniform(-1, 3, (100, 4)).astype(np.float32)
    quantized = cml.quantize(module, x, exact(3))
    assert not count(quantized, Opcode.LOOKUP)
    wanted = x @ (0.01 * w)
    assert np.abs(quantized(x) - wanted).max() < 0.01 * np.ptp(wanted)


def test_the_scale_and_the_zero_point_must_be_clear():
    model, feeds = single("DequantizeLinear", np.int8([1, 2]), np.float32(0.5), np.int8(1))
    with pytest.raises(QuantizationError, match="x_scale is encrypted"):
        cml.quantize(cml.NumpyModule.from_onnx(model), feeds, exact())
    a = np.ones((2, 2), np.int8)
    model, feeds = single("MatMulInteger", a, a)
    with pytest.raises(QuantizationError, match="both factors are encrypted"):
        cml.quantize(cml.NumpyModule.from_onnx(model), feeds, exact())


# --- the grid of an input ---


def input_grid(net, *outputs, n_bits=4):
    x = np.linspace(-1.0, 2.0, 90).reshape(30, 3).astype(np.float32)
    module = cml.NumpyModule.from_onnx(net.model(*outputs))
    quantized = cml.quantize(module, x, exact(n_bits))
    (code,) = quantized.client.inputs
    return code.scale, code.levels, quantized


def test_an_input_has_the_grid_that_all_its_readers_propose():
    net = Net(["n", 3], opset=21)
    y = net.add("MatMul", qdq(net, "x", 0.1, 10), net.constant(np.eye(3)))
    assert input_grid(net, y)[:2] == (float(np.float32(0.1)), 32)
    again = net.add("MatMul", qdq(net, "x", 0.1, 10), net.constant(2 * np.eye(3)))
    assert input_grid(net, net.add("Add", y, again))[:2] == (float(np.float32(0.1)), 32)


@pytest.mark.parametrize("reader", ["another scale", "no proposal"])
def test_readers_that_disagree_are_not_heard(reader):
    net = Net(["n", 3], opset=21)
    y = qdq(net, "x", 0.1, 10)
    other = qdq(net, "x", 0.3, 4) if reader == "another scale" else "x"
    outputs = [net.add("MatMul", t, net.constant(np.eye(3))) for t in (y, other)]
    assert input_grid(net, *outputs)[1] == 16


def test_a_proposal_passes_what_only_moves_and_what_only_asks_for_a_shape():
    net = Net(["n", 3], opset=21)
    shape = net.add("Shape", "x")
    y = qdq(net, net.add("Reshape", "x", shape), 0.1, 10)
    scale, levels, quantized = input_grid(net, net.add("MatMul", y, net.constant(np.eye(3))))
    assert (scale, levels) == (float(np.float32(0.1)), 32)
    assert not count(quantized, Opcode.LOOKUP)


def test_a_stored_module_keeps_the_grid(tmp_path):
    net, y = qdq_network()
    module = cml.NumpyModule.from_onnx(net.model(y))
    quantized = cml.quantize(module, small_inputs(), exact(2))
    quantized.save(tmp_path / "model.cml")
    loaded = cml.QuantizedModule.load(tmp_path / "model.cml")
    unseen = small_inputs(seed=2)
    np.testing.assert_array_equal(loaded(unseen), quantized(unseen))
