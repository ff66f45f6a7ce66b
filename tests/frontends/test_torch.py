"""PyTorch networks from the module to encrypted predictions."""

from __future__ import annotations

import functools
import importlib.util
import sys
import warnings

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.errors import (
    ConfigError,
    ExporterError,
    InputDtypeError,
    InputNameError,
    InputShapeError,
    MissingLibraryError,
    ModelFileError,
)

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

import cml_frontends.torch  # noqa: E402
from cml_frontends import (  # noqa: E402
    CompiledModel,
    compile_onnx_model,
    compile_torch_model,
    torch_to_onnx,
)
from cml_frontends.torch import ControlFlowWarning  # noqa: E402
from tests.frontends.architectures import ARCHITECTURES, Embedded, mlp, reference  # noqa: E402

HAS_DYNAMO = importlib.util.find_spec("onnxscript") is not None
EXPORTERS = ["torchscript", *(["dynamo"] if HAS_DYNAMO else [])]
by_exporter = pytest.mark.parametrize("exporter", EXPORTERS)
by_name = pytest.mark.parametrize("name", ARCHITECTURES)


@functools.cache
def exported(name, exporter="torchscript"):
    architecture = ARCHITECTURES[name]
    module = architecture.network()
    return module, torch_to_onnx(module, architecture.samples(3), exporter=exporter)


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


@by_exporter
@by_name
def test_the_exported_model_computes_what_the_network_does(name, exporter):
    network, model = exported(name, exporter)
    module = cml.NumpyModule.from_onnx(model)
    assert [spec.name for spec in module.inputs] == list(ARCHITECTURES[name].shapes)
    assert all(spec.shape[0] == "batch" for spec in module.inputs)
    for count in (1, 5):
        arrays = ARCHITECTURES[name].samples(count, seed=2)
        for ours, theirs in zip(
            as_tuple(module(*arrays)), reference(network, *arrays), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


@functools.cache
def quantized(name):
    architecture = ARCHITECTURES[name]
    config = cml.QuantConfig.with_bits(8, rounding_bits=9)
    network, model = exported(name)
    data = architecture.samples(200, seed=3)
    return network, compile_onnx_model(model, data, config, compile=False)


@by_name
def test_integers_come_close_to_the_network(name):
    network, compiled = quantized(name)
    arrays = ARCHITECTURES[name].samples(50, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cml.SaturationWarning)
        warnings.simplefilter("ignore", cml.OverflowWarning)
        results = as_tuple(compiled(*arrays))
    assert compiled.quantized_module.report().lookups > 0
    for ours, theirs in zip(results, reference(network, *arrays), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < 0.05 * theirs.std()


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("name", ["mlp", "cnn-1d", "embedded", "two-outputs", "gated"])
def test_simulation_equals_clear_integers(name):
    architecture = ARCHITECTURES[name]
    _, model = exported(name)
    data = architecture.samples(60)
    compiled = compile_onnx_model(model, data, n_bits=3)
    arrays = tuple(array[:4] for array in data)
    for ours, theirs in zip(
        as_tuple(compiled.predict(*arrays, fhe="simulate")),
        as_tuple(compiled(*arrays)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


# --- encrypted ---


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
@pytest.mark.parametrize("name", ["perceptron", "convolution", "embedding"])
def test_decryption_equals_clear_integers(name, key_cache):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, data = {
        "perceptron": (
            nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)),
            rng.uniform(-1, 1, (60, 3)),
        ),
        "convolution": (
            nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
            rng.uniform(-1, 1, (60, 1, 3)),
        ),
        "embedding": (
            nn.Sequential(nn.Embedding(4, 2), nn.Flatten(), nn.Linear(4, 2)),
            rng.integers(0, 4, (60, 2)),
        ),
    }[name]
    options = cml.FheOptions(key_cache=key_cache)
    compiled = compile_torch_model(network, data, n_bits=2, options=options)
    np.testing.assert_array_equal(compiled.predict(data[:2], fhe="execute"), compiled(data[:2]))


# --- what comes back ---


@pytest.fixture(scope="module")
def compiled():
    (data,) = ARCHITECTURES["mlp"].samples(60)
    network = ARCHITECTURES["mlp"].network()
    model = compile_torch_model(network, data, n_bits=3, exporter="torchscript", compile=False)
    return model, data


def test_a_compiled_model_has_every_form(compiled, tmp_path):
    model, data = compiled
    assert isinstance(model, CompiledModel)
    assert model.onnx_model is model.numpy_module.onnx_model
    (output,) = model.run({"input": data[:3]}).values()
    np.testing.assert_array_equal(output, model.predict(data[:3]))
    np.testing.assert_array_equal(model.quantized_module(data[:3]), model(data[:3]))
    model.save(tmp_path / "net.cml")
    loaded = cml.QuantizedModule.load(tmp_path / "net.cml")
    np.testing.assert_array_equal(loaded(data[:3]), model(data[:3]))
    assert "not compiled" in repr(model)


def test_a_mode_that_does_not_exist_or_needs_a_circuit_is_refused(compiled):
    model, data = compiled
    with pytest.raises(ConfigError, match="'disable', 'simulate', 'execute'"):
        model.predict(data, fhe="encrypt")
    for attempt in (lambda: model.predict(data, fhe="simulate"), model.keygen):
        with pytest.raises(ConfigError, match="until the model is compiled"):
            attempt()


@pytest.mark.usefixtures("needs_compiler")
def test_it_is_compiled_later_and_stored_with_its_circuit(compiled, tmp_path):
    model, data = compiled
    later = model.compile(p_error=2.0**-20)
    assert model.fhe_circuit is None
    assert later.fhe_circuit.options.p_error == 2.0**-20
    np.testing.assert_array_equal(later.predict(data[:2], fhe="simulate"), model(data[:2]))
    later.save(tmp_path / "net.cml")
    assert cml.FheCircuit.load(tmp_path / "net.cml").report.lookups


# --- inputs ---


def test_inputs_come_as_arrays_tensors_or_by_name():
    network = ARCHITECTURES["two-inputs"].network()
    left, right = ARCHITECTURES["two-inputs"].samples(3)
    expected = reference(network, left, right)[0]
    for samples in (
        (left.astype(np.float64), torch.from_numpy(right)),
        (torch.from_numpy(left).double().requires_grad_(), right.tolist()),
        {"right": right, "left": left},
    ):
        module = cml.NumpyModule.from_onnx(torch_to_onnx(network, samples, exporter="torchscript"))
        np.testing.assert_allclose(module(left, right), expected, atol=1e-5)


def test_a_single_sample_is_enough_and_nothing_is_printed(capfd):
    network = ARCHITECTURES["cnn-1d"].network()
    module = cml.NumpyModule.from_model(network, ARCHITECTURES["cnn-1d"].samples(1))
    assert capfd.readouterr() == ("", "")
    (data,) = ARCHITECTURES["cnn-1d"].samples(4)
    np.testing.assert_allclose(module(data), reference(network, data)[0], atol=1e-5)


class AnyNumber(nn.Module):
    def forward(self, x, unused, *rest):
        return x * sum(rest)


class Optional(nn.Module):
    def forward(self, x, scale=None, shift=None):
        x = x if scale is None else x * scale
        return x if shift is None else x + shift


@by_exporter
def test_any_number_of_inputs_some_of_them_unused(exporter):
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = compile_torch_model(
        AnyNumber(), (x, x, x, x), n_bits=8, exporter=exporter, compile=False
    )
    names = [spec.name for spec in model.numpy_module.inputs]
    assert [name for name in names if name != "unused"] == ["x", "rest_0", "rest_1"]
    np.testing.assert_allclose(model.run(dict.fromkeys(names, x))["output"], 2 * x * x, atol=0.5)


@by_exporter
@pytest.mark.parametrize("as_none", [True, False])
def test_inputs_that_are_left_out(exporter, as_none):
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    samples = (x, None, x) if as_none else {"x": x, "shift": x}
    module = cml.NumpyModule.from_onnx(torch_to_onnx(Optional(), samples, exporter=exporter))
    assert [spec.name for spec in module.inputs] == ["x", "shift"]
    np.testing.assert_array_equal(module(x, x), 2 * x)


@pytest.mark.parametrize(
    ("samples", "error", "match"),
    [
        ((), InputNameError, "missing inputs: left, right"),
        (None, InputNameError, "missing inputs: left, right"),
        (np.zeros((2, 4)), InputNameError, "missing input: right"),
        ((np.zeros((2, 4)),) * 3, InputNameError, "positional argument 3"),
        ({"left": np.zeros((2, 4)), "wrong": 1.0}, InputNameError, "no such input: wrong"),
        ((np.zeros((2, 4)), np.array(["a"])), InputDtypeError, "'right'"),
        ((np.zeros((0, 4)), np.zeros((0, 3))), InputShapeError, "at least one sample"),
        ((np.zeros((2, 5)), np.zeros((2, 3))), ExporterError, "run on the sample inputs"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, error, match):
    with pytest.raises(error, match=match):
        torch_to_onnx(ARCHITECTURES["two-inputs"].network(), samples)


# --- the module ---


def test_the_module_is_left_as_it_was():
    network = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.BatchNorm1d(4), nn.Dropout()
    ).double()
    network[1].eval()
    network(torch.ones(4, 3).double()).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for exporter in EXPORTERS:
        torch_to_onnx(network, np.ones((4, 3)), exporter=exporter)
    assert [part.training for part in network] == [True, False, True]
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert {value.dtype for value in network.parameters()} == {torch.float64}
    assert all(value.grad is not None for value in network.parameters())


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(
            torch.compile if hasattr(torch, "compile") else None,
            marks=pytest.mark.skipif(not hasattr(torch, "compile"), reason="no torch.compile"),
        ),
        nn.DataParallel,
        torch.jit.script,
        lambda network: torch.jit.trace(network, torch.ones(2, 6)),
    ],
    ids=["compiled", "parallel", "script", "trace"],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_pytorch_wraps_is_unwrapped_or_exported_as_it_is(wrap):
    network = mlp(nn.ReLU)
    (data,) = ARCHITECTURES["mlp"].samples(3)
    module = cml.NumpyModule.from_onnx(torch_to_onnx(wrap(network), data, exporter="torchscript"))
    np.testing.assert_allclose(module(data), reference(network, data)[0], atol=1e-6)


def test_sequences_that_come_before_the_batch_keep_their_shapes():
    network = nn.LSTM(3, 4)
    data = np.random.default_rng(0).normal(size=(5, 1, 3)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(
        torch_to_onnx(network, (data,), exporter="torchscript", dynamic_batch=False)
    )
    assert module.inputs[0].shape == (5, 1, 3)
    output, (hidden, cell) = network(torch.from_numpy(data))
    for ours, theirs in zip(module(data), (output, hidden, cell), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_weights_that_are_computed_do_not_prevent_the_copy():
    network = nn.utils.weight_norm(nn.Linear(3, 2))
    network(torch.ones(1, 3))
    module = cml.NumpyModule.from_torch(network, np.ones((1, 3)))
    expected = network(torch.ones(2, 3)).detach().numpy()
    np.testing.assert_allclose(module(np.ones((2, 3))), expected, atol=1e-6)


def test_names_opset_and_shapes_are_as_asked_for():
    model = torch_to_onnx(
        mlp(nn.ReLU),
        np.ones((3, 6)),
        exporter="torchscript",
        opset=15,
        input_names=["features"],
        output_names=["scores"],
        dynamic_batch=False,
    )
    module = cml.NumpyModule.from_onnx(model)
    assert model.opset_import[0].version == 15
    assert [(spec.name, spec.shape) for spec in module.inputs] == [("features", (3, 6))]
    assert [spec.name for spec in module.outputs] == ["scores"]


class OneByOne(nn.Module):
    """Made for one sample at a time."""

    def forward(self, x):
        return x.reshape(1, 2, 2).sum(1)


@by_exporter
def test_a_module_for_single_samples_gets_a_batch_of_one(exporter):
    data = np.random.default_rng(0).normal(size=(1, 4))
    module = cml.NumpyModule.from_onnx(torch_to_onnx(OneByOne(), data, exporter=exporter))
    assert module.inputs[0].shape == (1, 4)
    np.testing.assert_allclose(module(data), data.reshape(1, 2, 2).sum(1), atol=1e-6)


class CountsSamples(nn.Module):
    """Takes a Python number from a tensor's shape, which a trace would keep."""

    def forward(self, x):
        return x * float(torch.tensor(float(x.shape[0])) / x.shape[0])


def test_a_trace_that_may_hold_for_one_batch_size_alone_is_not_taken_for_all():
    model = torch_to_onnx(CountsSamples(), np.ones((3, 2)), exporter="torchscript")
    assert cml.NumpyModule.from_onnx(model).inputs[0].shape == (1, 2)


class CountsByLen(nn.Module):
    """Takes the batch size from where the newer exporter does not follow it."""

    def forward(self, x):
        return x.reshape(len(x), -1) * len(x)


@by_exporter
def test_a_batch_size_that_an_exporter_takes_for_a_constant_becomes_one(exporter):
    data = np.random.default_rng(0).normal(size=(3, 2, 2)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(torch_to_onnx(CountsByLen(), data, exporter=exporter))
    assert module.inputs[0].shape == (1, 2, 2)
    np.testing.assert_array_equal(module(data[:1]), data[:1].reshape(1, 4))


# --- the model beside the module ---


class Branches(nn.Module):
    def __init__(self, bound=0.0):
        super().__init__()
        self.bound = bound

    def forward(self, x):
        return x if x.sum() > self.bound else -3 * x


@pytest.mark.parametrize("exporter", ["auto", "torchscript"])
def test_control_flow_that_depends_on_data_is_refused(exporter):
    data = np.random.default_rng(0).normal(size=(40, 3))
    away = int((data.sum(axis=1) > 0).sum())
    away = 40 - away if data[0].sum() > 0 else away
    with pytest.raises(ExporterError, match="Control flow that depends on data") as caught:
        torch_to_onnx(Branches(), data, exporter=exporter)
    name, reason = caught.value.failures[-1]
    assert name == "torchscript exporter"
    assert "its output 'output' differs from the module's by up to" in reason
    assert f"for {away} of 40 samples" in reason
    assert "to a Python boolean (line " in reason


def test_one_sample_of_many_that_goes_another_way_is_enough():
    data = np.ones((80, 3), np.float32)
    data[-1] = -1
    with pytest.raises(ExporterError, match="for 1 of 80 samples"):
        compile_torch_model(Branches(), data, n_bits=4, exporter="torchscript", compile=False)


def test_a_decision_that_all_samples_take_alike_is_told():
    data = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.warns(ControlFlowWarning, match=r"Python boolean \(line \d+ of test_torch.py\)"):
        model = torch_to_onnx(Branches(-100.0), data, exporter="torchscript")
    assert cml.NumpyModule.from_onnx(model).inputs[0].shape == (1, 3)


class ManyKinds(nn.Module):
    """Outputs of several kinds and dtypes, some of them not finite, and a dropout."""

    def __init__(self):
        super().__init__()
        self.body, self.drop = nn.Linear(3, 3), nn.Dropout(0.5)

    def forward(self, x, ids):
        y = self.drop(self.body(x))
        return {"z": y, "a": (y.argmax(1), None), "roots": torch.log(x), "ids": ids + 1}


@by_exporter
def test_outputs_of_every_kind_are_compared(exporter):
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(50, 3))  # has logarithms that are not numbers
    x[0] = 0
    ids = np.arange(50)
    module = cml.NumpyModule.from_onnx(
        torch_to_onnx(ManyKinds().train(), (x, ids), exporter=exporter)
    )
    assert [spec.shape[0] for spec in module.inputs] == ["batch", "batch"]
    assert [spec.dtype.kind for spec in module.outputs] == ["f", "i", "f", "i"]


class Wavers(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.5, training=True)


@by_exporter
def test_a_module_that_does_not_repeat_itself_is_compared_with_nothing(exporter):
    model = torch_to_onnx(Wavers(), np.ones((20, 8)), exporter=exporter)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_what_an_exporter_gets_wrong_is_refused(monkeypatch):
    export = cml_frontends.torch._EXPORTERS["torchscript"]

    def wrong(*args):
        exported = export(*args)
        tensor = exported.model.graph.initializer[0]
        tensor.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(tensor)))
        tensor.name = "0.weight"
        return exported

    monkeypatch.setattr(cml_frontends.torch, "_EXPORTERS", {"torchscript": wrong})
    (data,) = ARCHITECTURES["mlp"].samples(70)
    with pytest.raises(ExporterError, match=r"differs .* for 70 of 70 samples"):
        torch_to_onnx(mlp(nn.ReLU), data)


class Eigen(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x @ x.T).real


def test_what_no_exporter_takes_is_refused_with_the_reason_of_each():
    with pytest.raises(ExporterError) as caught:
        torch_to_onnx(Eigen(), np.eye(2))
    assert [name for name, _ in caught.value.failures] == [
        "dynamo exporter",
        "torchscript exporter",
    ]
    text = str(caught.value)
    assert "the PyTorch module Eigen cannot be exported" in text
    assert "linalg_eigvals" in caught.value.failures[1][1]
    assert all(reason and "\n" not in reason for _, reason in caught.value.failures)


@pytest.mark.skipif(not HAS_DYNAMO, reason="the newer exporter is not installed")
def test_the_second_exporter_serves_where_the_first_fails():
    class Branch(nn.Module):
        def forward(self, x):
            return x * 2 if bool((x.detach().abs().sum() >= 0).numpy()) else x

    module = cml.NumpyModule.from_torch(Branch(), np.ones((2, 3)))
    np.testing.assert_allclose(module(np.ones((1, 3))), 2 * np.ones((1, 3)))


@pytest.mark.parametrize("wrong", [object(), mlp, np.zeros(3), nn.Linear])
def test_what_is_no_module_is_refused(wrong):
    with pytest.raises(ModelFileError, match=r"not a torch\.nn\.Module"):
        torch_to_onnx(wrong, np.zeros((2, 3)))
    with pytest.raises(ModelFileError, match="named 'torch' accepts"):
        cml.NumpyModule.from_torch(wrong, np.zeros((2, 3)))


def test_an_exporter_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="'auto', 'dynamo', 'torchscript'"):
        torch_to_onnx(mlp(nn.ReLU), np.ones((3, 6)), exporter="newest")


def test_without_pytorch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (torch_to_onnx, functools.partial(compile_torch_model, n_bits=3)):
        with pytest.raises(MissingLibraryError, match=r"pip install 'cml\[torch\]'") as caught:
            call(object(), np.zeros((2, 3)))
        assert (caught.value.library, caught.value.extra) == ("torch", "torch")


def test_the_module_to_onnx_imports_no_pytorch():
    import subprocess

    code = (
        "import sys, cml_frontends.torch as f, cml_core as cml\n"
        "assert not f.cml_importer().accepts(3)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_gives_the_names_of_its_api():
    import cml_frontends
    import cml_frontends.api

    assert dir(cml_frontends) == sorted(cml_frontends.api.__all__)


def test_integer_inputs_keep_their_dtype():
    module = cml.NumpyModule.from_torch(Embedded(), ARCHITECTURES["embedded"].samples(2))
    assert module.inputs[0].dtype == np.int64
