import json

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.storage import read_archive, write_archive
from tests.networks import Net, samples

ort = pytest.importorskip("onnxruntime", reason="onnxruntime has no build for this Python")


def run(path, feeds):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def test_the_file_computes_what_the_model_does(cli, cml_path, tmp_path):
    path = tmp_path / "net.onnx"
    result = cli("export", cml_path, "--output", path)
    assert result.out.startswith(f"wrote {path}: ")
    onnx.checker.check_model(path, full_check=True)
    x = samples([3])
    (got,) = run(path, {"x": x}).values()
    np.testing.assert_array_equal(got, cml.QuantizedModule.load(cml_path)(x))


def test_the_integer_program_alone(cli, cml_path, tmp_path):
    path = tmp_path / "net.onnx"
    cli("export", cml_path, "--output", path, "--integers")
    module = cml.QuantizedModule.load(cml_path)
    (codes,) = module.quantize_inputs({"x": samples([3])})
    results = module.dequantize_outputs(*run(path, {"x": codes}).values())
    np.testing.assert_array_equal(*results.values(), module(samples([3])))


def test_a_file_that_is_there_is_replaced(cli, cml_path, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_text("something else")
    cli("export", cml_path, "--output", path)
    onnx.checker.check_model(path)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("integers", [[], ["--integers"]])
def test_a_damaged_file(cli, cml_path, tmp_path, integers):
    damaged, path = tmp_path / "half.cml", tmp_path / "net.onnx"
    damaged.write_bytes(cml_path.read_bytes()[:500])
    result = cli("export", damaged, "--output", path, *integers, status=1)
    assert f"error: {damaged}: is damaged" in result.err
    assert not path.exists()


def test_places_where_nothing_can_be_written(cli, cml_path, tmp_path, monkeypatch):
    monkeypatch.setattr(cml.QuantizedModule, "load", lambda *a, **k: pytest.fail("was read"))
    result = cli("export", cml_path, "--output", tmp_path, status=1)
    assert f"{tmp_path}: cannot be written: it is a folder" in result.err
    result = cli("export", cml_path, "--output", tmp_path / "no" / "net.onnx", status=1)
    assert f"there is no folder {tmp_path / 'no'}. Create it first." in result.err


def test_a_disk_that_refuses(cli, cml_path, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cml_core.storage.tempfile.NamedTemporaryFile", full)
    path = tmp_path / "net.onnx"
    result = cli("export", cml_path, "--output", path, status=1)
    assert f"error: {path}: cannot be written: No space left on device" in result.err


def test_a_model_that_cannot_be_exported_says_what_can(cli, tmp_path, monkeypatch):
    # A tail that turns its batch around; the client runs it sample by sample.
    from tests.networks import Net

    net = Net(["batch", 3])
    out = net.add("Transpose", net.add("Exp", net.dense("x", 3, 2)), perm=[1, 0])
    module = cml.NumpyModule.from_onnx(net.model(out))
    source, path = tmp_path / "net.cml", tmp_path / "net.onnx"
    cml.quantize(module, samples([3]), n_bits=3).save(source)
    result = cli("export", source, "--output", path, status=1)
    assert "cannot be exported to ONNX: its tail" in result.err
    assert "--integers" in result.err
    assert not path.exists()
    cli("export", source, "--output", path, "--integers")
    assert json.loads(cli("inspect", source, "--json").out)["client_nodes"]


def test_what_is_read_is_not_written_over(cli, cml_path, net_path, calibration_path, input_path):
    for arguments, output in (
        (("export", cml_path), cml_path),
        (("predict", cml_path, "--input", input_path), cml_path),
        (("predict", cml_path, "--input", input_path), input_path),
        (("compile", net_path, "--calibration", calibration_path, "--no-circuit"), net_path),
        (("compile", net_path, "--calibration", calibration_path), calibration_path),
    ):
        before = output.read_bytes()
        error = cli(*arguments, "--output", output, status=1).err
        assert f"{output}: cannot be written: it is what is read" in error
        assert output.read_bytes() == before


def test_a_damaged_tail_is_told_with_the_file(cli, tmp_path):
    model, data = tmp_path / "net.onnx", tmp_path / "x.npz"
    net = Net(["batch", 3])
    onnx.save(net.model(net.add("Softmax", net.dense("x", 3, 2))), model)
    np.savez(data, x=samples([3]))
    path, damaged = tmp_path / "net.cml", tmp_path / "damaged.cml"
    cli("compile", model, "--calibration", data, "--no-circuit", "--output", path)
    parts = read_archive(path)
    write_archive(damaged, {**parts, "tail.onnx": b"\xff" + parts["tail.onnx"][1:]})
    for arguments in (
        ("inspect",),
        ("export", "--output", tmp_path / "y.onnx"),
        ("predict", "--input", data, "--output", tmp_path / "y.npz"),
    ):
        error = cli(*arguments, damaged, status=1).err
        assert f"error: the tail of {damaged} cannot be read as an ONNX model" in error
