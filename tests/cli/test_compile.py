import json

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.fhe.backend import FheOptions
from tests.networks import mlp, samples


@pytest.fixture
def compile_net(cli, net_path, calibration_path, tmp_path):
    """Compile the small network with some options; gives the result and the path."""

    def run(*options, status=0, model=net_path, calibration=calibration_path, output=None):
        output = tmp_path / "net.cml" if output is None else output
        files = [model, "--calibration", calibration, "--output", output]
        result = cli("compile", *files, *options, status=status)
        assert output.is_file() == (status == 0)
        return result, output

    return run


def test_quantizing_only(compile_net, net_path):
    result, path = compile_net("--n-bits", 3, "--no-circuit")
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0] == f"wrote {path}"
    names = [line.split("  ")[1] for line in lines[1:]]
    assert names == ["nodes", "table lookups", "max bit width", "predicted complexity", "time"]
    loaded = cml.QuantizedModule.load(path)
    wanted = cml.quantize(cml.NumpyModule.from_onnx(net_path), samples([3]), n_bits=3)
    np.testing.assert_array_equal(loaded(samples([3])), wanted(samples([3])))


@pytest.mark.usefixtures("needs_compiler")
def test_compiling(compile_net):
    result, path = compile_net("--n-bits", 2, "--p-error", "2**-20")
    assert result.err == ""
    for name in ("bootstraps", "complexity", "compiler", "keys", "compiling the circuit"):
        assert name in result.out
    assert path.is_file()


def test_json(compile_net, cli, net_path):
    result, path = compile_net("--n-bits", 3, "--no-circuit", "--json")
    report = json.loads(result.out)
    assert result.err == ""
    assert (report["model"], report["output"]) == (str(net_path), str(path))
    assert (report["client"], report["compiled"]) == (None, None)
    assert (report["model_nodes"], report["circuit_nodes"]) == (3, 3)
    assert list(report["seconds"]) == ["reading the model", "calibrating", "quantizing"]
    program = cml.QuantizedModule.load(path).report().as_dict()
    assert program.items() <= report.items()
    inspected = json.loads(cli("inspect", path, "--json").out)
    assert {name: inspected[name] for name in program} == program


@pytest.mark.usefixtures("needs_compiler")
def test_json_of_a_circuit(compile_net, cli, tmp_path):
    client = tmp_path / "client.cml"
    result, path = compile_net("--n-bits", 2, "--p-error", "2**-20", "--client", client, "--json")
    report = json.loads(result.out)
    assert report["client"] == str(client)
    assert client.is_file()
    assert report["seconds"]["compiling the circuit"] > 0
    assert report["compiled"] == json.loads(cli("inspect", path, "--json").out)["compiled"]
    assert report["compiled"]["lookups"] == report["lookups"] > 0


@pytest.fixture
def asked(compile_net, monkeypatch):
    """What the library is asked for: configuration and compiler options."""

    def run(*options):
        from cml_core.quantization import module

        seen = []
        quantize = module.quantize

        def remember(net, stats, config):
            seen.append(config)
            return quantize(net, stats, config)

        class StopError(cml.CmlError):
            pass

        def stop(self, options=None, **changes):
            seen.append(options)
            raise StopError

        monkeypatch.setattr(module, "quantize", remember)
        monkeypatch.setattr("cml_core.fhe.backend.installed_backends", lambda: (Fake(),))
        monkeypatch.setattr(module.QuantizedModule, "compile", stop)
        compile_net(*options, status=1)
        return seen

    class Fake:
        name = "fake"

    return run


def test_without_options_the_library_decides(asked):
    assert asked() == [cml.QuantConfig(), FheOptions()]


def test_options_reach_the_library(asked):
    config, options = asked(
        *("--n-bits", 5, "--input-bits", 6, "--weight-bits", 2, "--activation-bits", 3),
        *("--output-bits", 7, "--rounding-bits", 4, "--ranges", "proven", "--margin", 0.25),
        *("--tail", "server", "--backend", "fake", "--global-p-error", 0.01),
        *("--rounding", "approximate"),
    )
    assert config == cml.QuantConfig(
        input_bits=6, weight_bits=2, activation_bits=3, output_bits=7, rounding_bits=4,
        ranges="proven", margin=0.25, tail="server", rounding="approximate",
    )  # fmt: skip
    assert options == FheOptions(backend="fake", global_p_error=0.01)


def test_presets_and_what_is_stated_besides(asked):
    config, _ = asked("--preset", "fast", "--rounding-bits", 3, "--prune", 0.01, "--read-bits", 7)
    assert config == cml.QuantConfig.fast(rounding_bits=3, prune=0.01, read_bits=7)
    assert asked("--preset", "best")[0] == cml.QuantConfig.best()


def test_rounding_can_be_left_out(asked):
    assert asked("--no-rounding")[0].rounding_bits is None


# --- what cannot be compiled ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--n-bits", 0], "n_bits=0 is not possible: expected a number of bits from 1 to 16"),
        (["--n-bits", 17], "n_bits=17 is not possible"),
        (["--weight-bits", -1], "weight_bits=-1 is not possible"),
        (["--rounding-bits", 3, "--no-rounding"], "rounding_bits=3 is not possible"),
        (["--ranges", "guessed"], "ranges='guessed' is not possible"),
        (["--tail", "nobody"], "tail='nobody' is not possible"),
        (["--observer", "telescope"], "observer='telescope' is not possible"),
        (["--margin", -1], "margin=-1.0 is not possible"),
        (["--margin", "nan"], "margin=nan is not possible"),
        (["--preset", "perfect"], "preset='perfect' is not possible: expected one of fast, best"),
        (["--preset", "fast", "--n-bits", 4], "n_bits=4 is not possible: expected either"),
        (["--prune", 1.5], "prune=1.5 is not possible"),
        (["--read-bits", 0], "read_bits=0 is not possible"),
        (["--rounding", "up"], "rounding='up' is not possible"),
        (["--p-error", 2], "p_error=2.0 is not possible"),
        (["--p-error", "small"], "p_error='small' is not possible"),
        (["--p-error", "2**9999"], "p_error='2**9999' is not possible"),
        (["--global-p-error", 0], "global_p_error=0.0 is not possible"),
        (["--backend", "abacus"], "FHE compiler 'abacus' is not available"),
    ],
)
def test_options_that_cannot_work(compile_net, options, reason):
    result, _ = compile_net(*options, status=1)
    assert result.err.startswith("error: ")
    assert reason in result.err


def test_an_option_that_is_no_number_is_a_usage_error(compile_net):
    compile_net("--n-bits", "four", status=2)


def test_without_a_compiler(compile_net, monkeypatch):
    monkeypatch.setattr("cml_core.fhe.backend.installed_backends", lambda: ())
    result, _ = compile_net(status=1)
    assert "an FHE compiler is not available (none is installed)" in result.err
    assert "pip install 'cml[fhe]'" in result.err
    assert "--no-circuit" in result.err
    compile_net("--no-circuit")


@pytest.fixture
def bad_calibration(compile_net, tmp_path):
    def run(array):
        path = tmp_path / "bad.npz"
        np.savez(path, x=array)
        return compile_net("--no-circuit", calibration=path, status=1)[0].err

    return run


def test_empty_calibration(bad_calibration):
    error = bad_calibration(np.zeros((0, 3), dtype=np.float32))
    assert "calibration data for 'x' is empty" in error


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_calibration_that_is_not_finite(bad_calibration, value):
    data = samples([3])
    data[5, 1] = value
    error = bad_calibration(data)
    assert "holds NaN or infinite values in 1 of 64 samples (the first is number 5)" in error


def test_calibration_of_the_wrong_shape(bad_calibration):
    assert "has shape (2, 4), expected (batch, 3)" in bad_calibration(np.zeros((2, 4)))


def test_missing_calibration(compile_net, tmp_path):
    result, _ = compile_net("--no-circuit", calibration=tmp_path / "nowhere.npz", status=1)
    assert "nowhere.npz: cannot be read: No such file" in result.err


@pytest.mark.usefixtures("example_domain")
def test_a_model_with_float_only_nodes(compile_net, model_with):
    path = model_with("Half", domain="org.example")
    result, _ = compile_net("--no-circuit", model=path, status=1)
    assert "cannot be quantized: 1 node stands in the way" in result.err
    assert "node 'half1' (org.example.Half)" in result.err


@pytest.mark.usefixtures("needs_compiler")
def test_a_model_that_is_too_wide_for_the_compiler(compile_net, tmp_path):
    path, data = tmp_path / "wide.onnx", tmp_path / "wide.npz"
    onnx.save(mlp([64, 4, 2]), path)
    np.savez(data, x=samples([64]))
    options = ["--n-bits", 9, "--no-rounding"]
    result, _ = compile_net(*options, model=path, calibration=data, status=1)
    assert "feeds a table lookup with" in result.err


def test_the_output_folder_is_checked_before_any_work(compile_net, tmp_path):
    output = tmp_path / "no" / "net.cml"
    result, _ = compile_net(model=tmp_path / "nowhere.onnx", output=output, status=1)
    assert f"there is no folder {output.parent}" in result.err
