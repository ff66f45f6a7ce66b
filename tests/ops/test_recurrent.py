"""RNN, GRU and LSTM: in float as ONNX Runtime has them, and unrolled on encrypted integers."""

import numpy as np
import onnx.reference
import pytest
from onnx import helper, numpy_helper

import cml_core as cml
from cml_core.errors import NodeError, QuantizationError
from cml_core.fhe.backend import FheOptions, installed_backends
from cml_core.quantization.module import OverflowWarning
from tests.networks import Net

fhe = pytest.mark.fhe
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DIRECTIONS = ["forward", "reverse", "bidirectional"]
PLACES = {"X": 0, "W": 1, "R": 2, "B": 3, "sequence_lens": 4, "initial_h": 5, "initial_c": 6}


def inputs(op_type, *, time=4, batch=3, size=2, hidden=3, both=False, dtype=np.float32, seed=0):
    """Random tensors by name: the sequences, and weights of the size that training begins with."""
    rng = np.random.default_rng(seed)
    count, wide, scale = 1 + both, GATES[op_type] * hidden, 2 / np.sqrt(hidden)

    def uniform(*shape):
        return (rng.uniform(-1, 1, shape) * scale).astype(dtype)

    found = {
        "X": rng.normal(size=(time, batch, size)).clip(-2, 2).astype(dtype),
        "W": uniform(count, wide, size),
        "R": uniform(count, wide, hidden),
        "B": uniform(count, 2 * wide),
    }
    states = ("initial_h", "initial_c") if op_type == "LSTM" else ("initial_h",)
    return found | {name: uniform(count, batch, hidden) for name in states}


def layer(op_type, tensors, *, encrypted=None, opset=22, outputs=None, **attributes):
    """Return a model of one node; what is not encrypted is a constant, by default nothing is."""
    encrypted = tensors if encrypted is None else encrypted
    order = {**PLACES, "P": 7}
    names = [name if name in tensors else "" for name in list(order)[: 8 if "P" in tensors else 7]]
    names = names if op_type == "LSTM" else names[:6]
    outputs = outputs or ["Y", "Y_h", "Y_c"][: 3 if op_type == "LSTM" else 2]
    attributes = {"hidden_size": tensors["R"].shape[-1], **attributes}
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="layer", **attributes)],
        "one",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in tensors.items()
            if n in encrypted
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs if name],
        [numpy_helper.from_array(v, n) for n, v in tensors.items() if n not in encrypted],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def assert_same(got, wanted, rtol=1e-5):
    for one, other in zip(got.values(), wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def assert_as_onnxruntime(op_type, tensors, **attributes):
    model = layer(op_type, tensors, **attributes)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert_same(cml.NumpyModule.from_onnx(model).run(tensors), session.run(None, tensors))


# --- float ---


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_layers_are_those_of_onnxruntime(op_type, direction, opset):
    tensors = inputs(op_type, both=direction == "bidirectional")
    assert_as_onnxruntime(op_type, tensors, direction=direction, opset=opset)
    for lens in ([4, 2, 1], [3, 0, 4], [0, 0, 0]):
        tensors["sequence_lens"] = np.int32(lens)
        assert_as_onnxruntime(op_type, tensors, direction=direction, opset=opset)
    few = {name: tensors[name] for name in "XWR"}
    assert_as_onnxruntime(op_type, few, direction=direction, opset=opset)


# A step takes products of all weights at once, or adds its own to those of the input: of a layer
# with many inputs, with large weights. Either goes in parts if there are many steps.
SIZES = {
    "one sequence": {"batch": 1, "size": 5, "hidden": 4},
    "one sequence, many inputs": {"batch": 1, "size": 9, "hidden": 4},
    "many inputs": {"size": 9, "hidden": 4},
    "large weights": {"time": 2, "size": 128, "hidden": 192},
    "many steps": {"time": 90, "batch": 64, "size": 16, "hidden": 24},
    "many steps and inputs": {"time": 90, "batch": 64, "size": 64, "hidden": 24},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})],
)
def test_layers_of_any_size_are_those_of_onnxruntime(op_type, attributes, direction, size):
    tensors = inputs(op_type, both=direction == "bidirectional", **SIZES[size])
    assert_as_onnxruntime(op_type, tensors, direction=direction, **attributes)


def test_a_run_changes_neither_its_input_nor_the_next_run():
    tensors = inputs("LSTM", time=3, size=5, hidden=4)
    module = cml.NumpyModule.from_onnx(layer("LSTM", tensors, encrypted=["X"]))
    given = tensors["X"].copy()
    first = {name: value.copy() for name, value in module.run({"X": given}).items()}
    again = module.run({"X": given})
    np.testing.assert_array_equal(given, tensors["X"])
    for name, value in again.items():
        np.testing.assert_array_equal(value, first[name])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_variants_are_those_of_onnxruntime(direction):
    both = direction == "bidirectional"
    for op_type in ("RNN", "GRU"):
        assert_as_onnxruntime(op_type, inputs(op_type, both=both), direction=direction, clip=0.4)
    gru = inputs("GRU", both=both)
    assert_as_onnxruntime("GRU", gru, direction=direction, linear_before_reset=1, clip=0.6)
    lstm = inputs("LSTM", both=both)
    assert_as_onnxruntime("LSTM", lstm, direction=direction, input_forget=1)
    lstm["P"] = np.random.default_rng(1).normal(size=(1 + both, 9)).astype(np.float32)
    assert_as_onnxruntime("LSTM", lstm, direction=direction)


def test_a_clip_comes_before_each_activation():
    # Two steps from zero cannot take the cell beyond the clip, which ONNX Runtime leaves alone.
    short = {k: v for k, v in inputs("LSTM", time=2).items() if k in "XWRB"}
    assert_as_onnxruntime("LSTM", short, clip=0.9)
    tensors = inputs("LSTM", time=1)
    tensors["initial_c"] += np.float32(5)
    y = cml.NumpyModule.from_onnx(layer("LSTM", tensors, clip=0.5)).run(tensors)["Y"]
    assert np.abs(y).max() <= np.tanh(0.5) / (1 + np.exp(-0.5)) + 1e-6


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("Relu", None, None),
        ("Tanh", None, None),
        ("Sigmoid", None, None),
        ("Softsign", None, None),
        ("Softplus", None, None),
        ("LeakyRelu", None, None),
        ("LeakyRelu", 0.3, None),
        ("ThresholdedRelu", 0.3, None),
        ("Elu", 0.7, None),
        ("Affine", 0.3, 0.2),
        ("ScaledTanh", 0.6, 1.3),
        ("HardSigmoid", None, None),
        ("HardSigmoid", 0.3, 0.4),
    ],
)
def test_activations_are_those_of_onnxruntime(name, alpha, beta):
    given = {"activation_alpha": alpha, "activation_beta": beta}
    options = {k: [v] for k, v in given.items() if v is not None}
    assert_as_onnxruntime("RNN", inputs("RNN", time=3), activations=[name], **options)


def test_values_of_alpha_and_beta_go_to_the_activations_that_have_them():
    names = ["HardSigmoid", "Tanh", "ScaledTanh", "HardSigmoid", "Elu", "ScaledTanh"]
    options = {"activation_alpha": [0.1, 1.2, 0.3, 0.9, 0.8], "activation_beta": [0.4, 0.5, 0.6, 1]}
    tensors = inputs("LSTM", both=True)
    assert_as_onnxruntime("LSTM", tensors, direction="bidirectional", activations=names, **options)


def test_names_of_activations_may_be_in_any_case():
    tensors = inputs("GRU")
    wanted = cml.NumpyModule.from_onnx(layer("GRU", tensors)).run(tensors)
    model = layer("GRU", tensors, activations=["sigmoid", "TANH"])
    assert_same(cml.NumpyModule.from_onnx(model).run(tensors), wanted.values())


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_batch_may_come_first(op_type, dtype):
    tensors = inputs(op_type, both=True, dtype=dtype)
    wanted = cml.NumpyModule.from_onnx(layer(op_type, tensors, direction="bidirectional"))
    moved = {k: v.swapaxes(0, 1) if k[0] in "Xi" else v for k, v in tensors.items()}
    model = layer(op_type, moved, direction="bidirectional", layout=1)
    got = cml.NumpyModule.from_onnx(model).run(moved)
    y, *ends = wanted.run(tensors).values()
    assert_same(got, [y.transpose(2, 0, 1, 3), *(end.swapaxes(0, 1) for end in ends)], 1e-12)
    assert_same(got, onnx.reference.ReferenceEvaluator(model).run(None, moved))


def test_half_precision_is_computed_in_single():
    tensors = inputs("GRU")
    half = {k: v.astype(np.float16) for k, v in tensors.items()}
    model = layer("GRU", half)
    got = cml.NumpyModule.from_onnx(model).run(half)
    exact = cml.NumpyModule.from_onnx(layer("GRU", tensors)).run(
        {k: v.astype(np.float32) for k, v in half.items()}
    )
    assert_same(got, [v.astype(np.float16) for v in exact.values()], 1e-3)


@pytest.mark.parametrize(
    ("change", "attributes", "match"),
    [
        ({"X": (4, 3, 5)}, {}, "shape of X"),
        ({"X": (4, 3)}, {}, "shape of X"),
        ({"W": (1, 8, 2)}, {}, "shape of W"),
        ({"R": (2, 12, 3)}, {}, "shape of R"),
        ({"B": (1, 12)}, {}, "shape of B"),
        ({"P": (1, 12)}, {}, "shape of P"),
        ({"initial_c": (1, 2, 3)}, {}, "initial state"),
        ({"sequence_lens": (2,)}, {}, "sequence_lens"),
        ({}, {"direction": "backward"}, "direction"),
        ({}, {"hidden_size": 4}, "hidden_size"),
        ({}, {"layout": 2}, "layout"),
        ({}, {"clip": -1.0}, "clip"),
        ({}, {"activations": ["Tanh"]}, "activations"),
        ({}, {"activations": ["Tanh", "Tanh", "Cube"]}, "Cube"),
    ],
)
def test_what_does_not_fit_is_said(change, attributes, match):
    tensors = inputs("LSTM")
    for name, shape in change.items():
        tensors[name] = np.ones(shape, np.int32 if name == "sequence_lens" else np.float32)
    with pytest.raises(NodeError, match=match):
        cml.NumpyModule.from_onnx(layer("LSTM", tensors, **attributes)).run(tensors)


def test_a_length_beyond_the_sequence_is_said():
    tensors = inputs("RNN") | {"sequence_lens": np.int32([1, 5, 2])}
    with pytest.raises(NodeError, match="sequence_lens"):
        cml.NumpyModule.from_onnx(layer("RNN", tensors)).run(tensors)


# --- on encrypted integers ---

VARIANTS = [
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("LSTM", {}),
    ("LSTM", {"input_forget": 1}),
    ("LSTM", {"peepholes": True}),
]


def sequences(count, tensors, seed, scale=1.0):
    shape = (count, *tensors["X"].shape)
    x = np.random.default_rng(seed).normal(size=shape).clip(-2, 2) * scale
    return x.astype(np.float32)


def variant(op_type, attributes, *, time=5, batch=1, size=4, hidden=5, both=False, states=False):
    """Return a model whose weights are constant, and its tensors."""
    attributes = dict(attributes)
    tensors = inputs(op_type, time=time, batch=batch, size=size, hidden=hidden, both=both)
    if not states:
        tensors = {k: v for k, v in tensors.items() if not k.startswith("initial")}
    if attributes.pop("peepholes", False):
        rng = np.random.default_rng(1)
        tensors["P"] = rng.uniform(-1, 1, (1 + both, 3 * hidden)).astype(np.float32)
    return attributes, tensors


def signal(module, quantized, x):
    """Signal to noise of each output, in decibels."""
    pairs = [(module.run({"X": one}), quantized.run({"X": one})) for one in x]
    found = {}
    for name in pairs[0][0]:
        wanted, got = (np.stack([pair[k][name] for pair in pairs]) for k in (0, 1))
        assert (wanted.dtype, wanted.shape) == (got.dtype, got.shape)
        found[name] = 10 * np.log10(wanted.var() / np.square(got - wanted).mean())
    return found


@pytest.mark.parametrize(("op_type", "attributes"), VARIANTS)
@pytest.mark.parametrize("ranges", ["calibrated", "proven"])
def test_layers_are_close_to_float(op_type, attributes, ranges):
    attributes, tensors = variant(op_type, attributes)
    module = cml.NumpyModule.from_onnx(layer(op_type, tensors, encrypted=["X"], **attributes))
    config = cml.QuantConfig.with_bits(6, ranges=ranges, margin=0.4)
    quantized = cml.quantize(module, {"X": sequences(300, tensors, 1)}, config)
    found = signal(module, quantized, sequences(40, tensors, 2))
    assert min(found.values()) > 16, found


@pytest.mark.parametrize(("op_type", "attributes"), [VARIANTS[0], VARIANTS[2], VARIANTS[4]])
def test_both_directions_lengths_and_constant_states(op_type, attributes):
    attributes, tensors = variant(
        op_type, attributes, time=3, batch=3, size=2, hidden=3, both=True, states=True
    )
    tensors["sequence_lens"] = np.int32([3, 1, 2])
    attributes["direction"] = "bidirectional"
    module = cml.NumpyModule.from_onnx(layer(op_type, tensors, encrypted=["X"], **attributes))
    config = cml.QuantConfig.with_bits(6, margin=0.4)
    quantized = cml.quantize(module, {"X": sequences(200, tensors, 1)}, config)
    x = sequences(20, tensors, 2)
    found = signal(module, quantized, x)
    assert min(found.values()) > 16, found
    y = quantized.run({"X": x[0]})["Y"]
    assert (y[1:, :, 1] == 0).all()
    assert (y[2:, :, 2] == 0).all()


@pytest.mark.parametrize("op_type", GATES)
def test_encrypted_initial_states_and_the_batch_first(op_type):
    tensors = inputs(op_type, time=3, batch=2)
    moved = {k: v.swapaxes(0, 1) if k[0] in "Xi" else v for k, v in tensors.items()}
    states = [name for name in moved if name[0] in "Xi"]
    module = cml.NumpyModule.from_onnx(layer(op_type, moved, encrypted=states, layout=1))
    rng = np.random.default_rng(1)
    data = {k: rng.uniform(-1, 1, (100, *moved[k].shape)).astype(np.float32) for k in states}
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(6, margin=0.4))
    errors, values = [], []
    for place in range(20):
        one = {k: v[place] for k, v in data.items()}
        wanted, got = module.run(one)["Y"], quantized.run(one)["Y"]
        errors.append(got - wanted)
        values.append(wanted)
    assert np.var(values) > 40 * np.var(errors)


@pytest.mark.parametrize(
    ("op_type", "attributes", "lookups"),
    [("RNN", {}, 1), ("GRU", {}, 9), ("GRU", {"linear_before_reset": 1}, 11), ("LSTM", {}, 11)],
)
def test_lookups_of_a_step(op_type, attributes, lookups):
    counts = []
    for time in (4, 5):
        attributes, tensors = variant(op_type, attributes, time=time, size=2, hidden=3)
        model = layer(op_type, tensors, encrypted=["X"], outputs=["Y"], **attributes)
        module = cml.NumpyModule.from_onnx(model)
        config = cml.QuantConfig.with_bits(5)
        quantized = cml.quantize(module, {"X": sequences(100, tensors, 1)}, config)
        counts.append(quantized.report().lookups)
    # Units whose numbers never change cost none.
    assert counts[1] - counts[0] == pytest.approx(3 * lookups, abs=2)


def test_a_layer_inside_a_network():
    net = Net(["batch", 5, 3])
    x = net.add("Transpose", "x", perm=[1, 0, 2])
    w, r, b = net.normal(1, 16, 3), net.normal(1, 16, 4), net.normal(1, 32)
    y = net.add("LSTM", x, w, r, b, hidden_size=4)
    y = net.add("Gather", y, net.constant(np.array(-1)), axis=0)
    y = net.add("Squeeze", y, net.constant(np.array([0])))
    module = cml.NumpyModule.from_onnx(net.model(net.dense(y, 4, 2)))
    rng = np.random.default_rng(1)
    data, unseen = (rng.normal(size=(n, 5, 3)).clip(-2, 2).astype(np.float32) for n in (300, 60))
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(6, margin=0.4))
    wanted, got = module(unseen), quantized(unseen)
    assert got.shape == wanted.shape
    assert wanted.var() > 40 * np.square(got - wanted).mean()


def test_far_inputs_are_reported_and_break_nothing():
    _, tensors = variant("LSTM", {}, time=4, size=2, hidden=3)
    module = cml.NumpyModule.from_onnx(layer("LSTM", tensors, encrypted=["X"]))
    calibration = {"X": sequences(50, tensors, 1, scale=0.2)}
    calibration["X"][0, 0, 0, 0], calibration["X"][0, 1, 0, 0] = -2, 2
    config = cml.QuantConfig.with_bits(4, margin=0.0)
    quantized = cml.quantize(module, calibration, config)
    with pytest.warns(OverflowWarning):
        found = [quantized.run({"X": x})["Y"] for x in sequences(20, tensors, 2, scale=0.9)]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("name", ["W", "R", "B"])
def test_weights_must_be_clear(op_type, name):
    tensors = inputs(op_type, time=2)
    module = cml.NumpyModule.from_onnx(layer(op_type, tensors, encrypted=["X", name]))
    data = {k: tensors[k][np.newaxis] for k in ("X", name)}
    with pytest.raises(QuantizationError, match=f"{name} is encrypted"):
        cml.quantize(module, data)


def test_lengths_and_peepholes_must_be_clear():
    tensors = inputs("LSTM", time=2) | {"P": np.ones((1, 9), np.float32)}
    tensors["sequence_lens"] = np.int32([2, 1, 2])
    for name in ("P", "sequence_lens"):
        module = cml.NumpyModule.from_onnx(layer("LSTM", tensors, encrypted=["X", name]))
        data = {k: tensors[k][np.newaxis] for k in ("X", name)}
        with pytest.raises(QuantizationError, match=f"{name} is encrypted"):
            cml.quantize(module, data)


@fhe
@compiled
@pytest.mark.parametrize(
    ("op_type", "attributes"), [VARIANTS[0], VARIANTS[2], VARIANTS[3], VARIANTS[4]]
)
def test_simulation_gives_the_clear_integers(op_type, attributes, key_cache):
    attributes, tensors = variant(op_type, attributes, time=2, size=2, hidden=2)
    module = cml.NumpyModule.from_onnx(layer(op_type, tensors, encrypted=["X"], **attributes))
    data = {"X": sequences(100, tensors, 1)}
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(3))
    circuit = quantized.compile(FheOptions(key_cache=key_cache))
    for x in data["X"][:5]:
        wanted = quantized.run({"X": x})
        for name, got in circuit.simulate({"X": x}).items():
            np.testing.assert_array_equal(got, wanted[name])
