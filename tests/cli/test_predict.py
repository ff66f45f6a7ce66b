import json
import zipfile

import numpy as np
import pytest

import cml_core as cml
from tests.networks import samples


@pytest.fixture
def predict(cli, cml_path, input_path, tmp_path):
    """Predict with some options; gives the result and the arrays written."""

    def run(*options, status=0, model=cml_path, inputs=input_path):
        output = tmp_path / "y.npz"
        files = [model, "--input", inputs, "--output", output]
        result = cli("predict", *files, *options, status=status)
        if status:
            assert not output.exists()
            return result, {}
        with np.load(output) as written:
            return result, dict(written)

    return run


@pytest.fixture
def wanted(cml_path):
    return cml.QuantizedModule.load(cml_path).run({"x": samples([3])[:2]})


def _same(got, wanted):
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array)


def test_on_integers_in_the_clear(predict, wanted):
    result, arrays = predict("--mode", "clear")
    assert result.err == ""
    _same(arrays, wanted)
    _same(predict()[1], wanted)


@pytest.mark.usefixtures("needs_compiler")
def test_simulated(predict, wanted):
    result, arrays = predict("--mode", "simulate")
    assert result.err == ""
    _same(arrays, wanted)


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_encrypted(predict, wanted, key_cache):
    _, arrays = predict("--mode", "encrypted", "--key-cache", key_cache)
    _same(arrays, wanted)
    assert any(key_cache.iterdir()), "the keys were kept"


def test_values_out_of_range_are_one_warning_in_one_line(predict, tmp_path):
    path = tmp_path / "far.npz"
    np.savez(path, x=np.float32([[900, 0, 0], [0, 0, 0]]))
    result, _ = predict(inputs=path)
    first, *_ = result.err.splitlines()
    assert first.startswith("warning: 1 of 2 samples have values of input 'x' outside")
    assert ".py" not in result.err


def test_an_unknown_mode_is_a_usage_error(predict):
    predict("--mode", "guess", status=2)


@pytest.mark.parametrize("mode", ["clear", "simulate", "encrypted"])
def test_inputs_are_checked_before_any_long_work(predict, tmp_path, mode, monkeypatch):
    monkeypatch.setattr(cml.FheCircuit, "load", lambda *a, **k: pytest.fail("compiled"))
    np.savez(tmp_path / "bad.npz", x=np.zeros((1, 4)))
    result, _ = predict("--mode", mode, inputs=tmp_path / "bad.npz", status=1)
    assert "has shape (1, 4), expected (batch, 3)" in result.err


def test_an_unknown_compiler(predict):
    result, _ = predict("--mode", "simulate", "--backend", "abacus", status=1)
    assert "FHE compiler 'abacus' is not available" in result.err


def test_a_key_cache_that_is_no_folder(predict, input_path):
    result, _ = predict("--mode", "encrypted", "--key-cache", input_path, status=1)
    assert f"{input_path}: is not a folder" in result.err


# --- .cml files that cannot be read ---------------------------------------------------------------


@pytest.fixture(params=["predict", "simulate", "inspect"])
def with_file(request, cli, input_path, tmp_path):
    """Give a file to each command that takes a `.cml`; gives the error."""
    options = ["--input", input_path, "--output", tmp_path / "y.npz"]
    command, options = {
        "predict": ("predict", options),
        "simulate": ("predict", [*options, "--mode", "simulate"]),
        "inspect": ("inspect", []),
    }[request.param]

    def run(path):
        result = cli(command, path, *options, status=1)
        assert result.out == ""
        return result.err

    return run


def test_a_file_cut_in_half(with_file, cml_path, tmp_path):
    path = tmp_path / "half.cml"
    content = cml_path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert f"error: {path}: is damaged" in with_file(path)


def test_a_newer_format(with_file, cml_path, tmp_path):
    path = tmp_path / "newer.cml"
    with zipfile.ZipFile(cml_path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = json.dumps({**json.loads(content), "version": 999}).encode()
            new.writestr(name, content)
    assert "was written in format 999" in with_file(path)


def test_an_onnx_file_in_place_of_a_cml(with_file, net_path):
    assert "is damaged or not a .cml file" in with_file(net_path)


def test_a_file_that_is_not_there(with_file, tmp_path):
    assert "nowhere.cml: cannot be read: No such file" in with_file(tmp_path / "nowhere.cml")
