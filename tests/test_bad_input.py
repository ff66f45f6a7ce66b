"""What users get wrong: each mistake has its error, with fields and with what would work."""

from __future__ import annotations

import pickle

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import cml_core as cml
from cml_core.errors import (
    CalibrationError,
    ConfigError,
    DamagedFileError,
    InputDtypeError,
    InputNameError,
    InputShapeError,
    InvalidModelError,
    KeysMissingError,
    ModelFileError,
    NewerFileError,
    StoredFileError,
    UnsupportedNodesError,
)
from cml_core.storage import FORMAT_VERSION
from tests.models import linear_model, make_model, node, relu_model, value

NEWEST_OPSET = onnx.defs.onnx_opset_version()
X = np.random.default_rng(0).uniform(-1, 1, size=(30, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def module():
    return cml.NumpyModule.from_onnx(linear_model())


@pytest.fixture(scope="module")
def quantized(module):
    return cml.quantize(module, X, n_bits=3)


def refused(kind, action):
    """The error that an action raises: exactly of its kind, its text one readable paragraph."""
    with pytest.raises(kind) as raised:
        action()
    error = raised.value
    assert type(error) is kind
    assert isinstance(error, cml.CmlError)
    text = str(error)
    assert len(text) > 30
    assert "Traceback" not in text
    assert "object at 0x" not in text
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, text)
    return error


# --- models ---


def test_a_truncated_model(tmp_path):
    path = tmp_path / "half.onnx"
    content = linear_model().SerializeToString()
    path.write_bytes(content[: len(content) // 2])
    error = refused(ModelFileError, lambda: cml.NumpyModule.from_onnx(path))
    assert error.source == str(path)
    assert error.reason == "it is truncated or not an ONNX file"
    assert error.hint == "Write it again with onnx.save or the exporter it came from."


@pytest.mark.parametrize("content", [b"", b"# a readme\n", b"\x80\x04]q\x00." * 10])
def test_a_file_that_is_not_onnx(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    error = refused(ModelFileError, lambda: cml.NumpyModule.from_onnx(path))
    assert str(path) in str(error)


def test_a_model_that_is_not_there(tmp_path):
    path = tmp_path / "model.onnx"
    error = refused(ModelFileError, lambda: cml.NumpyModule.from_onnx(path))
    assert (error.source, error.reason) == (str(path), "No such file or directory")


def test_a_model_of_another_library():
    class Network:
        """A model that was never exported."""

    error = refused(ModelFileError, lambda: cml.NumpyModule.from_onnx(Network()))
    assert error.source == "a Network"
    assert error.hint == "Export the model to ONNX first."


def test_an_opset_that_is_too_new():
    model = relu_model(opset=NEWEST_OPSET + 1)
    error = refused(InvalidModelError, lambda: cml.NumpyModule.from_onnx(model))
    (fault,) = error.faults
    assert f"opset {NEWEST_OPSET + 1} of ai.onnx" in fault
    assert f"to {NEWEST_OPSET}" in fault
    assert "upgrade the onnx package or export at an older opset" in fault


def test_an_operator_that_nobody_provides():
    nodes = [
        node("Telepathy", ["x"], ["p"], name="guess", domain="example.net"),
        node("Relu", ["p"], ["q"], name="fine"),
        node("Einsteinium", ["q"], ["y"], name="typo"),
    ]
    model = make_model(nodes, {"x": [2]}, ["y"], domains={"example.net": 1})
    error = refused(UnsupportedNodesError, lambda: cml.NumpyModule.from_onnx(model))
    assert [(n.node, n.operator) for n in error.nodes] == [
        ("guess", "example.net.Telepathy"),
        ("typo", "Einsteinium"),
    ]
    assert "Install a plugin that provides it, or write one." in str(error)
    assert "Check the spelling and the domain." in str(error)


# --- inputs: the same errors from the float module, from integers and from calibration ---


@pytest.fixture(params=["module", "quantized", "calibrate"])
def take(request):
    """Something that takes a mapping of inputs."""
    if request.param == "calibrate":
        module = request.getfixturevalue("module")
        return lambda inputs: cml.calibrate(module, inputs)
    return request.getfixturevalue(request.param).run


def test_an_input_of_a_wrong_name(take):
    error = refused(InputNameError, lambda: take({"image": X}))
    assert (error.missing, error.unknown, error.expected) == (("x",), ("image",), ("x",))
    assert str(error) == "missing input: x. no such input: image. The model's inputs are: x."


@pytest.mark.parametrize("shape", [(4,), (5, 1, 4), ()], ids=str)
def test_an_input_of_a_wrong_rank(take, shape):
    error = refused(InputShapeError, lambda: take({"x": np.zeros(shape)}))
    assert (error.name, error.shape) == ("x", shape)
    assert error.expected == "2 dimensions, (batch, 4)"


def test_an_input_of_a_wrong_shape(take):
    error = refused(InputShapeError, lambda: take({"x": np.zeros((5, 3))}))
    assert (error.name, error.shape, error.expected) == ("x", (5, 3), "(batch, 4)")


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((5, 4), np.complex64), "complex64"),
        (np.array([["a", "b", "c", "d"]]), "<U1"),
        (np.array([[1.0, None, 2.0, 3.0]]), "object"),
    ],
    ids=["complex", "text", "objects"],
)
def test_an_input_of_a_wrong_dtype(take, array, dtype):
    error = refused(InputDtypeError, lambda: take({"x": array}))
    assert (error.name, error.dtype, error.expected) == ("x", dtype, "float32")


def test_floats_where_the_model_wants_integers():
    model = make_model([node("Relu", ["x"], ["y"])], [value("x", [2], TensorProto.INT32)], ["y"])
    integers = cml.NumpyModule.from_onnx(model)
    error = refused(InputDtypeError, lambda: integers([0.5, 1.5]))
    assert (error.dtype, error.expected) == ("float64", "int32")


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_or_too_many_inputs(module, quantized, count):
    for model in (module, quantized):
        error = refused(InputNameError, lambda m=model: m(*[X] * count))
        assert error.expected == ("x",)


# --- calibration and configuration ---


def test_calibration_data_without_samples(module):
    error = refused(CalibrationError, lambda: cml.quantize(module, X[:0]))
    assert (error.name, error.reason) == ("x", "is empty")
    assert error.hint == "Give some samples that look like the model's real inputs."


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_calibration_data_that_is_not_finite(module, bad):
    data = X.copy()
    data[7, 2] = bad
    error = refused(CalibrationError, lambda: cml.quantize(module, data))
    assert error.name == "x"
    assert "NaN or infinite values in 1 of 30 samples (the first is number 7)" in error.reason
    assert error.hint == "Remove or repair them."


@pytest.mark.parametrize("n_bits", [0, -1, 17, 2.5, "4", True, np.float64(4)], ids=repr)
def test_a_bit_width_that_is_not_possible(module, n_bits):
    error = refused(ConfigError, lambda: cml.quantize(module, X, n_bits=n_bits))
    assert error.argument == "n_bits"
    assert error.value is n_bits or error.value == n_bits
    assert error.expected == "a number of bits from 1 to 16"


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"input_bits": 0}, "input_bits"),
        ({"weight_bits": 0}, "weight_bits"),
        ({"activation_bits": 0}, "activation_bits"),
        ({"rounding_bits": 0}, "rounding_bits"),
        ({"observer": "guess"}, "observer"),
        ({"ranges": "wide"}, "ranges"),
        ({"margin": -0.5}, "margin"),
        ({"tail": "both"}, "tail"),
        ({"nodes": {"dense": {"weight_bits": 0}}}, "weight_bits"),
    ],
)
def test_an_option_that_is_not_possible(options, argument):
    error = refused(ConfigError, lambda: cml.QuantConfig(**options))
    assert error.argument == argument
    assert error.expected


def test_two_answers_to_one_question(module):
    config = cml.QuantConfig()
    error = refused(ConfigError, lambda: cml.quantize(module, X, config, n_bits=4))
    assert "not both" in error.expected
    error = refused(ConfigError, lambda: cml.quantize(module, X, 4))
    assert "n_bits=" in error.expected


# --- stored files ---


@pytest.fixture
def stored(quantized, tmp_path):
    path = tmp_path / "model.cml"
    quantized.save(path)
    np.testing.assert_array_equal(cml.QuantizedModule.load(path)(X), quantized(X))
    return path


@pytest.mark.parametrize("load", [cml.QuantizedModule.load, cml.FheCircuit.load])
def test_a_stored_model_that_was_cut_in_half(stored, load):
    content = stored.read_bytes()
    stored.write_bytes(content[: len(content) // 2])
    error = refused(DamagedFileError, lambda: load(stored))
    assert error.path == stored
    assert error.hint == "Compile the model again, or fetch the file again."


def test_a_stored_model_of_a_newer_cml(stored, quantized, monkeypatch):
    monkeypatch.setattr("cml_core.storage.FORMAT_VERSION", FORMAT_VERSION + 1)
    quantized.save(stored)
    monkeypatch.undo()
    error = refused(NewerFileError, lambda: cml.QuantizedModule.load(stored))
    assert (error.version, error.supported) == (FORMAT_VERSION + 1, FORMAT_VERSION)
    assert error.hint == "Upgrade cml."


def test_a_stored_model_that_is_an_onnx_file(tmp_path):
    onnx.save(linear_model(), tmp_path / "model.cml")
    error = refused(DamagedFileError, lambda: cml.QuantizedModule.load(tmp_path / "model.cml"))
    assert "not a .cml file" in error.reason


def test_a_stored_model_that_is_not_there(tmp_path):
    error = refused(StoredFileError, lambda: cml.QuantizedModule.load(tmp_path / "model.cml"))
    assert "No such file" in error.reason


# --- circuits ---


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_prediction_before_key_generation(quantized):
    circuit = quantized.compile()
    for action in (circuit.predict, circuit.encrypt):
        error = refused(KeysMissingError, lambda a=action: a(X[:1]))
        assert error.action in str(error)
        assert "Call keygen() first." in str(error)


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_inputs_of_a_circuit_are_checked_too(quantized):
    circuit = quantized.compile()
    refused(InputShapeError, lambda: circuit.simulate(np.zeros((5, 3))))
    refused(InputNameError, lambda: circuit.simulate({"image": X}))
