"""Models that were trained or calibrated in low precision keep their scales and integers."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml
from cml_core.errors import NodeError
from cml_core.program.instructions import Opcode
from tests.contrib.qat_models import (
    brevitas_of,
    exported_by_brevitas,
    onnxruntime_on,
    predicted,
    quantized_by_onnxruntime,
    quiet,
    torch_of,
    torchscript,
)
from tests.networks import Net, samples

fhe = pytest.mark.fhe
QONNX = "qonnx.custom_op.general"


def exact(n_bits=2, **options):
    """Nothing rounded, and far fewer bits than the models have."""
    return cml.QuantConfig.with_bits(n_bits, rounding_bits=None, **options)


def found(quantized, opcode):
    return [one for one in quantized.program.instructions if one.opcode is opcode]


def weights_of(quantized):
    return [
        one.constants["weight"]
        for one in quantized.program.instructions
        if one.opcode in (Opcode.MATMUL, Opcode.CONV)
    ]


def assert_same_integers(mine, theirs):
    """Weights are the model's own, but for a factor that all of a channel have in common."""
    axes = (0,) if theirs.ndim == 2 else tuple(range(1, theirs.ndim))
    common = np.gcd.reduce(np.abs(theirs.astype(np.int64)), axis=axes, keepdims=True)
    np.testing.assert_array_equal(mine * np.maximum(common, 1), theirs)


# --- onnxruntime's quantizer ---


def dense_network():
    net = Net(["n", 6], seed=1)
    y = net.add("MatMul", "x", net.normal(6, 4))
    y = net.add("Relu", net.add("Add", y, net.normal(4, scale=0.2)))
    return net.model(net.dense(y, 4, 3)), samples((6,), 300)


def convolutional_network(*, skip=False):
    net = Net(["n", 1, 5, 5], seed=2)
    y = net.add("Conv", "x", net.normal(2, 1, 2, 2), net.normal(2), pads=[0, 1, 0, 0])
    y = net.add("Relu", y)
    if skip:
        y = net.add("Add", y, net.add("Conv", y, net.normal(2, 2, 1, 1)))
    y = net.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 3])
    y = net.add("Flatten", y)
    return net.model(net.dense(y, 8, 3)), samples((1, 5, 5), 300)


def quantize_static(network, tmp_path, *, kind="QUInt8", **options):
    """A network of 8 bits, its samples, and what onnxruntime makes of them."""
    quantization = pytest.importorskip("onnxruntime.quantization", reason="quantizes with it")
    model, x = network
    kind = getattr(quantization.QuantType, kind)
    model = quantized_by_onnxruntime(model, x[:200], tmp_path, activation_type=kind, **options)
    return model, x, onnxruntime_on(model, x)


@pytest.mark.parametrize("network", [dense_network, convolutional_network])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(
    ("kind", "symmetric", "per_channel"),
    [("QUInt8", False, True), ("QInt8", True, False)],
)
def test_what_onnxruntime_quantized_keeps_its_integers(
    network, form, kind, symmetric, per_channel, tmp_path
):
    model, x, wanted = quantize_static(
        network(), tmp_path, form=form, kind=kind, symmetric=symmetric, per_channel=per_channel
    )
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(x), wanted)
    quantized = cml.quantize(module, x, exact())
    np.testing.assert_array_equal(quantized(x), wanted)

    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    (code,) = quantized.client.inputs
    scale, zero = float(arrays["x_scale"]), int(arrays["x_zero_point"])
    assert code.scale == scale
    # The lowest integer of the model's own type, or one that is closer.
    first = code.start[1] + zero
    assert np.iinfo(arrays["x_zero_point"].dtype).min <= first <= x.min() / scale + zero + 0.5
    stored = [array for _, array in sorted(arrays.items()) if array.dtype == np.int8]
    stored = [array for array in stored if array.ndim > 1]
    for mine, theirs in zip(weights_of(quantized), stored, strict=True):
        assert_same_integers(mine, theirs)
    for lookup in found(quantized, Opcode.LOOKUP):
        assert lookup.interval.high <= 255


def test_a_sum_of_two_scales_is_off_by_a_step_at_most(tmp_path):
    """No common step that 16 bits hold makes a sum of two such tensors exact."""
    model, x, wanted = quantize_static(convolutional_network(skip=True), tmp_path, form="QDQ")
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(x), wanted)
    got = cml.quantize(module, x, exact())(x)
    assert np.mean(got == wanted) > 0.9
    (step,) = {np.diff(np.unique(wanted)).min()}
    assert np.abs(got - wanted).max() < 2.5 * step


# --- integers narrower than their type ---


def clipped(net, x, scale, low, high, zero=0):
    """Quantize a tensor to int8 integers, clip them, and take it back: how QCDQ writes few bits."""
    of_x = net.constant(np.float32(scale)), net.constant(np.int8(zero))
    y = net.add("QuantizeLinear", x, *of_x)
    y = net.add("Clip", y, net.constant(np.int8(low)), net.constant(np.int8(high)))
    return net.add("DequantizeLinear", y, *of_x)


def clipped_network():
    net = Net(["n", 4], seed=3, opset=17)
    w1, w2 = (net.rng.integers(-7, 8, shape) * 0.25 for shape in ((4, 3), (3, 2)))
    y = net.add("MatMul", clipped(net, "x", 0.5, -4, 3), net.constant(w1))
    y = net.add("MatMul", clipped(net, y, 1.0, -7, 7), net.constant(w2))
    return net.model(y), np.random.default_rng(0).normal(0, 2, (200, 4)).astype(np.float32)


def test_clipped_integers_take_no_more_bits_than_they_need():
    model, x = clipped_network()
    module = cml.NumpyModule.from_onnx(model)
    quantized = cml.quantize(module, x[:100], exact())
    # The client encrypts three bits, and says nothing of what the model clips itself.
    (code,) = quantized.client.inputs
    assert (code.scale, code.offset, code.levels, code.clips) == (0.5, -2.0, 8, (True, True))
    np.testing.assert_array_equal(quantized(10 * x), module(10 * x))
    # One lookup for both steps of each unit.
    (lookup,) = found(quantized, Opcode.LOOKUP)
    assert lookup.interval.high <= 14
    assert quantized.report().lookups == 3


def test_what_a_stored_module_knows_of_clipping(tmp_path):
    model, x = clipped_network()
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), x, exact())
    quantized.save(tmp_path / "clipped.cml")
    loaded = cml.QuantizedModule.load(tmp_path / "clipped.cml")
    np.testing.assert_array_equal(loaded(10 * x), quantized(10 * x))


@pytest.mark.parametrize("first", [-2, -1])
def test_halves_go_where_the_model_rounds_them(first, tmp_path):
    """Also where the lowest integer of the input is an odd one."""
    net = Net(["n", 3], seed=0, opset=17)
    y = clipped(net, "x", 0.5, first, 4, zero=1)
    module = cml.NumpyModule.from_onnx(net.model(net.add("MatMul", y, net.constant(np.eye(3)))))
    x = (np.arange(-12, 12).reshape(8, 3) * 0.25).astype(np.float32)
    quantized = cml.quantize(module, x, exact())
    np.testing.assert_array_equal(quantized(x), module(x))
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs the exported integers")
    quantized.to_onnx(tmp_path / "integers.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "integers.onnx")
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], module(x))


def test_a_second_reader_shares_the_lookups_of_the_first():
    net = Net(["n", 4], seed=4, opset=17)
    w1, w2 = (net.rng.integers(-7, 8, shape) * 0.25 for shape in ((4, 3), (3, 2)))
    y = net.add("MatMul", clipped(net, "x", 0.5, -4, 3), net.constant(w1))
    parameters = net.constant(np.float32(1.0)), net.constant(np.int8(2))
    integers = net.add("QuantizeLinear", y, *parameters)
    one, two = (net.add("DequantizeLinear", integers, *parameters) for _ in range(2))
    outputs = [net.add("MatMul", one, net.constant(w2)), net.add("MatMul", two, net.constant(-w2))]
    module = cml.NumpyModule.from_onnx(net.model(*outputs))
    x = np.random.default_rng(0).normal(0, 2, (200, 4)).astype(np.float32)
    quantized = cml.quantize(module, x, exact())
    assert quantized.report().lookups == 3
    for got, wanted in zip(quantized(x), module(x), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_what_is_repeated_is_looked_up_before():
    net = Net(["n", 1, 3], seed=5, opset=17)
    w = net.constant(net.rng.integers(-7, 8, (3, 3)) * 0.25)
    y = clipped(net, net.add("MatMul", clipped(net, "x", 0.5, -4, 3), w), 1.0, -7, 7)
    y = net.add("Resize", y, "", net.constant(np.float32([1, 1, 3])), mode="nearest")
    w = net.constant(net.rng.integers(-7, 8, (9, 2)) * 0.25)
    module = cml.NumpyModule.from_onnx(net.model(net.add("MatMul", y, w)))
    x = np.random.default_rng(0).normal(0, 2, (200, 1, 3)).astype(np.float32)
    quantized = cml.quantize(module, x, exact())
    assert quantized.report().lookups == 3
    np.testing.assert_array_equal(quantized(x), module(x))


# --- QONNX and Brevitas nodes ---


def run_node(op_type, *inputs, domain=QONNX, version=2, **attributes):
    """What a node of another domain gives."""
    arrays = [np.asarray(array, dtype=np.float32) for array in inputs]
    names = [f"i{k}" for k in range(len(arrays))]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["y"], name="node", domain=domain, **attributes)],
        "one",
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
            for n, a in zip(names, arrays, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    imports = [helper.make_opsetid(domain, version), helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    return cml.NumpyModule.from_onnx(model)(*arrays)


NUMBERS = [5.5, 2.5, 1.6, 1.1, 1.0, -1.0, -1.1, -1.6, -2.5, -5.5]


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        # The table of QONNX's specification of IntQuant.
        ("ROUND", [6, 2, 2, 1, 1, -1, -1, -2, -2, -6]),
        ("CEIL", [6, 3, 2, 2, 1, -1, -1, -1, -2, -5]),
        ("FLOOR", [5, 2, 1, 1, 1, -1, -2, -2, -3, -6]),
        ("UP", [6, 3, 2, 2, 1, -1, -2, -2, -3, -6]),
        ("DOWN", [5, 2, 1, 1, 1, -1, -1, -1, -2, -5]),
        ("HALF_UP", [6, 3, 2, 1, 1, -1, -1, -2, -3, -6]),
        ("HALF_DOWN", [5, 2, 2, 1, 1, -1, -1, -2, -2, -5]),
        # Two more that Brevitas exports.
        ("ROUND_TO_ZERO", [5, 2, 1, 1, 1, -1, -1, -1, -2, -5]),
        ("DPU", [6, 2, 2, 1, 1, -1, -1, -2, -2, -5]),
    ],
)
@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas"])
def test_rounding_modes(mode, wanted, domain):
    for name in (mode, mode.lower()):
        y = run_node("Quant", NUMBERS, 1.0, 0.0, 8, rounding_mode=name, domain=domain)
        assert y.tolist() == wanted
        assert y.dtype == np.float32


@pytest.mark.parametrize(
    ("signed", "narrow", "low", "high"),
    [(1, 0, -8, 7), (1, 1, -7, 7), (0, 0, 0, 15), (0, 1, 0, 14)],
)
def test_limits_of_a_format(signed, narrow, low, high):
    x = np.arange(-40, 40)
    y = run_node("Quant", x * 0.5, 0.5, 0.0, 4, signed=signed, narrow=narrow)
    np.testing.assert_array_equal(y, 0.5 * np.clip(x, low, high))
    shifted = run_node("IntQuant", x * 0.5, 0.5, 3.0, 4, signed=signed, narrow=narrow)
    np.testing.assert_array_equal(shifted, 0.5 * (np.clip(x + 3, low, high) - 3))


def test_the_revisions_of_trunc_differ_in_the_scale_of_the_result():
    x = np.arange(-8, 8) * 0.5
    mean = run_node("Trunc", x, 0.5, 0.0, 4, 2, version=1)
    np.testing.assert_array_equal(mean, 0.5 * np.floor(x * 2 / 4))
    cut = run_node("Trunc", x, 0.5, 0.0, 4, 2.0, 2, version=2)
    np.testing.assert_array_equal(cut, 2.0 * np.floor(x * 2 / 4))
    np.testing.assert_array_equal(
        run_node("Trunc", x, 0.5, 0.0, 4, 2, domain="onnx.brevitas", version=1), mean
    )


@pytest.mark.parametrize(
    ("inputs", "attributes", "name"),
    [
        (([1.0], 1.0, 0.0, 2.5), {}, "bitwidth is 2.5"),
        (([1.0], 1.0, 0.0, 0), {}, "bitwidth is 0"),
        (([1.0], 1.0, 0.0, 4), {"rounding_mode": "STOCHASTIC_ROUND"}, "rounding_mode"),
    ],
)
def test_what_no_format_is_is_said(inputs, attributes, name):
    with pytest.raises(NodeError, match=name):
        run_node("Quant", *inputs, **attributes)


def quant_network(size=4, *, bits=3, scale=0.5, **attributes):
    """A layer between two Quant nodes; weights are quantized in the graph."""
    net = Net(["n", size], seed=6)
    zero, bits = net.constant(np.float32(0)), net.constant(np.float32(bits))

    def quant(x, scale, **options):
        return net.add("Quant", x, net.constant(scale), zero, bits, domain=QONNX, **options)

    w = quant(net.normal(size, 3), np.float32(0.25), narrow=1)
    y = net.add("Relu", net.add("MatMul", quant("x", np.float32(scale), **attributes), w))
    y = net.add(
        "MatMul", quant(y, np.float32(0.375), signed=0), quant(net.normal(3, 2), np.float32(0.25))
    )
    model = net.model(y)
    model.opset_import.append(helper.make_opsetid(QONNX, 2))
    return model


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL"])
def test_quant_nodes_keep_their_grids(mode):
    module = cml.NumpyModule.from_onnx(quant_network(rounding_mode=mode))
    # Numbers on boundaries, and between them.
    x = np.random.default_rng(0).integers(-40, 40, (300, 4)) * np.float32(0.125)
    quantized = cml.quantize(module, x[:200], exact())
    np.testing.assert_allclose(quantized(x), module(x), rtol=0, atol=1e-6)
    assert quantized.client.inputs[0].levels == 8
    assert quantized.report().lookups == 3
    (lookup,) = found(quantized, Opcode.LOOKUP)
    assert lookup.interval.high <= 7
    assert [int(np.abs(w).max()) <= 4 for w in weights_of(quantized)] == [True, True]


def test_a_scale_for_each_channel_of_what_travels_between_layers():
    net = Net(["n", 4], seed=7)
    zero, bits = net.constant(np.float32(0)), net.constant(np.float32(4))
    w = net.constant(net.rng.integers(-3, 4, (4, 3)) * 0.5)
    scales = net.constant(np.float32([[0.5, 1.0, 0.25]]))
    y = net.add("Quant", net.add("MatMul", "x", w), scales, zero, bits, domain=QONNX)
    model = net.model(net.add("MatMul", y, net.constant(np.eye(3))))
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    x = np.random.default_rng(0).integers(-4, 4, (200, 4)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(cml.quantize(module, x, exact(3))(x), module(x))


@fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_a_quant_network_is_exact_on_encrypted_integers(key_cache):
    module = cml.NumpyModule.from_onnx(quant_network(2, bits=2))
    x = np.random.default_rng(0).uniform(-2, 2, (60, 2)).astype(np.float32)
    quantized = cml.quantize(module, x, exact(margin=0.0))
    circuit = quantized.compile(cml.FheOptions(key_cache=key_cache))
    np.testing.assert_array_equal(circuit.simulate(x), quantized(x))
    circuit.keygen()
    np.testing.assert_array_equal(circuit.predict(x[:2]), quantized(x[:2]))
    np.testing.assert_allclose(quantized(x), module(x), rtol=0, atol=1e-6)


# --- networks that Brevitas trained ---


@pytest.fixture(scope="module")
def trained():
    """A network of 4 bits that learned digits, the data, and its own predictions."""
    brevitas, torch = brevitas_of("trains with Brevitas"), torch_of("trains with Brevitas")
    datasets = pytest.importorskip("sklearn.datasets", reason="takes digits from scikit-learn")
    x, labels = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, labels = x[order], labels[order]
    nn, four = brevitas.nn, {"weight_bit_width": 4, "bias_quant": brevitas.quant.Int32Bias}
    with quiet():
        network = torch.nn.Sequential(
            nn.QuantIdentity(bit_width=4, return_quant_tensor=True),
            nn.QuantLinear(64, 24, bias=True, **four),
            nn.QuantReLU(bit_width=4, return_quant_tensor=True),
            nn.QuantLinear(24, 10, bias=True, **four),
        )
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        given, wanted = torch.as_tensor(x[:1200]), torch.as_tensor(labels[:1200])
        for _ in range(6):
            for start in range(0, 1200, 100):
                optimizer.zero_grad()
                y = network(given[start : start + 100])
                loss = torch.nn.functional.cross_entropy(
                    y.value if hasattr(y, "value") else y, wanted[start : start + 100]
                )
                loss.backward()
                optimizer.step()
        network.eval()
    own = predicted(torch, network, x[1200:])
    assert np.mean(own.argmax(axis=1) == labels[1200:]) > 0.9
    return network, x[:1200], x[1200:], own


@pytest.mark.parametrize("how", ["qonnx", "qonnx-dynamo", "qcdq"])
def test_a_trained_network_of_4_bits_predicts_what_it_did(trained, how, tmp_path):
    network, calibration, unseen, own = trained
    module = cml.NumpyModule.from_onnx(exported_by_brevitas(network, unseen, tmp_path, how))
    np.testing.assert_allclose(module(unseen), own, rtol=1e-4, atol=1e-4)
    quantized = cml.quantize(module, calibration, exact())
    got = quantized(unseen)
    np.testing.assert_allclose(got, own, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got.argmax(axis=1), own.argmax(axis=1))
    # Bits are those of the network, not the two that were asked for.
    assert found(quantized, Opcode.INPUT)[0].interval.high <= 15
    assert [one.interval.high for one in found(quantized, Opcode.LOOKUP)] == [15]
    assert [int(np.abs(w).max()) for w in weights_of(quantized)] == [7, 7]
    # Some neurons never fire.
    assert quantized.report().lookups <= 24


def convolutional(nn, quant, torch):
    """Scales for each channel, a zero point, a batch norm, the maximum of windows."""
    per_channel = {"weight_quant": quant.Int8WeightPerChannelFloat}
    return torch.nn.Sequential(
        nn.QuantIdentity(
            bit_width=4, act_quant=quant.ShiftedUint8ActPerTensorFloat, return_quant_tensor=True
        ),
        nn.QuantConv2d(
            1,
            3,
            3,
            padding=1,
            bias=True,
            bias_quant=quant.Int16Bias,
            weight_bit_width=4,
            **per_channel,
        ),
        torch.nn.BatchNorm2d(3),
        nn.QuantReLU(bit_width=3, return_quant_tensor=True),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        nn.QuantLinear(12, 3, bias=True, weight_bit_width=3),
    )


def averaging(nn, quant, torch):
    """The mean of windows, its low bits cut off."""
    return torch.nn.Sequential(
        nn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        nn.TruncAvgPool2d(2, bit_width=4, return_quant_tensor=True),
        torch.nn.Flatten(),
        nn.QuantLinear(4, 3, bias=False, weight_bit_width=3),
    )


def binary(nn, quant, torch):
    """Inputs, weights and activations of one bit."""
    signs = quant.binary.SignedBinaryActPerTensorConst
    of_weights = {"weight_quant": quant.binary.SignedBinaryWeightPerTensorConst}
    return torch.nn.Sequential(
        nn.QuantIdentity(act_quant=signs, return_quant_tensor=True),
        torch.nn.Flatten(),
        nn.QuantLinear(16, 6, bias=False, **of_weights),
        torch.nn.BatchNorm1d(6),
        nn.QuantIdentity(act_quant=signs, return_quant_tensor=True),
        nn.QuantLinear(6, 3, bias=False, **of_weights),
    )


def with_a_skip(nn, quant, torch):
    """A sum of two tensors of one scale."""

    class Skip(torch.nn.Module):
        def __init__(self):
            super().__init__()
            one = {"bit_width": 4, "return_quant_tensor": True}
            self.first, self.shared, self.last = (nn.QuantIdentity(**one) for _ in range(3))
            self.conv = nn.QuantConv2d(1, 1, 3, padding=1, bias=False, weight_bit_width=4)
            self.dense = nn.QuantLinear(16, 3, bias=True, weight_bit_width=4)

        def forward(self, x):
            y = self.shared(self.first(x))
            y = self.last(y + self.shared(self.conv(y)))
            return self.dense(torch.flatten(y, 1))

    return Skip()


@pytest.mark.parametrize(
    ("build", "how"),
    [
        (convolutional, "qonnx"),
        (convolutional, "qcdq"),
        (averaging, "qonnx"),
        (binary, "qonnx"),
        (with_a_skip, "qonnx"),
        (with_a_skip, "qcdq"),
    ],
)
def test_what_brevitas_exports_keeps_its_grids(build, how, tmp_path):
    brevitas, torch = brevitas_of("exports with Brevitas"), torch_of("exports with Brevitas")
    x = np.random.default_rng(0).uniform(-0.6, 1.4, (300, 1, 4, 4)).astype(np.float32)
    with quiet():
        network = build(brevitas.nn, brevitas.quant, torch)
        for _ in range(3):
            network(torch.as_tensor(x))
        network.eval()
    own = predicted(torch, network, x)
    module = cml.NumpyModule.from_onnx(exported_by_brevitas(network, x, tmp_path, how))
    np.testing.assert_allclose(module(x), own, rtol=0, atol=1e-5)
    quantized = cml.quantize(module, x, exact())
    np.testing.assert_allclose(quantized(x), own, rtol=0, atol=1e-5)
    widest = max(int(np.abs(w).max()) for w in weights_of(quantized))
    assert widest <= 7
    assert all(one.interval.high <= 15 for one in found(quantized, Opcode.LOOKUP))


# --- PyTorch's own quantizers ---


def pytorch_network(torch, quantization, how):
    """A network trained by PyTorch's eager or graph mode, or left with its fake quantizers."""
    stubs = [quantization.QuantStub(), quantization.DeQuantStub()] if how != "fx" else [None, None]
    layers = [
        stubs[0],
        torch.nn.Conv2d(1, 2, 2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3),
        torch.nn.Flatten(),
        torch.nn.Linear(2, 3),
        stubs[1],
    ]
    network = torch.nn.Sequential(*(layer for layer in layers if layer is not None)).train()
    if how == "fx":
        from torch.ao.quantization import quantize_fx

        mapping = quantization.get_default_qat_qconfig_mapping("fbgemm")
        return quantize_fx.prepare_qat_fx(network, mapping, (torch.zeros(1, 1, 4, 4),))
    if how == "eager":
        network = quantization.fuse_modules_qat(network, [["1", "2"]])
        network.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    else:
        fake = quantization.FakeQuantize.with_args
        network.qconfig = quantization.QConfig(
            activation=fake(
                observer=quantization.MovingAverageMinMaxObserver,
                quant_min=0,
                quant_max=127,
                dtype=torch.quint8,
            ),
            weight=fake(
                observer=quantization.MovingAveragePerChannelMinMaxObserver,
                quant_min=-128,
                quant_max=127,
                dtype=torch.qint8,
                qscheme=torch.per_channel_symmetric,
                ch_axis=0,
            ),
        )
    return quantization.prepare_qat(network)


@pytest.mark.parametrize("how", ["eager", "fx", "fake"])
def test_what_pytorch_quantized_keeps_its_integers(how):
    torch = torch_of("quantizes with PyTorch")
    x = np.random.default_rng(0).uniform(-0.6, 1.4, (200, 1, 4, 4)).astype(np.float32)
    with quiet():
        from torch.ao import quantization

        network = pytorch_network(torch, quantization, how)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(5):
            optimizer.zero_grad()
            torch.square(network(torch.as_tensor(x)) - 1).mean().backward()
            optimizer.step()
        network.eval().apply(quantization.disable_observer)
        if how == "fx":
            from torch.ao.quantization import quantize_fx

            # The exporter takes the graph of a graph module for one of its own.
            network = torch.nn.Sequential(quantize_fx.convert_fx(network))
        elif how == "eager":
            network = quantization.convert(network)
    model = torchscript(torch, network, x)
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    wanted = onnxruntime_on(model, x)
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(x), wanted)
    np.testing.assert_array_equal(cml.quantize(module, x, exact())(x), wanted)
