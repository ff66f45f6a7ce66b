"""Tensors whose data lies in a file beside the model."""

import os

import numpy as np
import onnx
import pytest

from cml_core.errors import InvalidModelError
from cml_core.graph.load import load_graph
from cml_core.numpy_module import NumpyModule
from tests.models import linear_model, make_model, node, value

X = np.array([[1.0, -2.0, 0.5, 3.0]], dtype=np.float32)


@pytest.fixture
def model(tmp_path):
    """A folder `model` with `linear.onnx` in it, whose weights are in `weights.bin`."""
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(
        linear_model(),
        folder / "linear.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    assert (folder / "weights.bin").stat().st_size > 0
    return folder / "linear.onnx"


def relocate(path, location):
    """Let the first weight's data be somewhere else."""
    proto = onnx.load(path, load_external_data=False)
    entry = next(e for e in proto.graph.initializer[0].external_data if e.key == "location")
    entry.value = str(location)
    path.write_bytes(proto.SerializeToString())


def fault_of(model):
    with pytest.raises(InvalidModelError) as raised:
        load_graph(model)
    (fault,) = raised.value.faults
    return fault


def test_external_data_is_read_from_the_model_s_folder_wherever_we_are(model, monkeypatch):
    monkeypatch.chdir(os.sep)
    expected = NumpyModule.from_onnx(linear_model())(X)
    np.testing.assert_array_equal(NumpyModule.from_onnx(model)(X), expected)
    monkeypatch.chdir(model.parent)
    np.testing.assert_array_equal(NumpyModule.from_onnx(model.name)(X), expected)


def test_the_model_that_a_module_keeps_is_complete_without_the_file(model):
    kept = NumpyModule.from_onnx(model).onnx_model
    (model.parent / "weights.bin").unlink()
    again = NumpyModule.from_onnx(onnx.load_model_from_string(kept.SerializeToString()))
    np.testing.assert_array_equal(again(X), NumpyModule.from_onnx(linear_model())(X))


def test_external_data_of_a_constant_is_read_too(tmp_path):
    tensor = onnx.numpy_helper.from_array(X, "t")
    nodes = [node("Constant", [], ["c"], value=tensor), node("Add", ["x", "c"], ["y"])]
    proto = make_model(nodes, {"x": [1, 4]}, [value("y", [1, 4])])
    onnx.save(
        proto,
        tmp_path / "constant.onnx",
        save_as_external_data=True,
        location="constant.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    module = NumpyModule.from_onnx(tmp_path / "constant.onnx")
    np.testing.assert_array_equal(module(X), X + X)
    (tmp_path / "constant.bin").unlink()
    assert "attribute 'value'" in fault_of(tmp_path / "constant.onnx")


def test_a_missing_file_is_a_fault_of_each_tensor_in_it(model):
    (model.parent / "weights.bin").unlink()
    with pytest.raises(InvalidModelError) as raised:
        load_graph(model)
    assert len(raised.value.faults) == 2
    for name, fault in zip("wb", raised.value.faults, strict=True):
        assert f"initializer '{name}' cannot be read" in fault
        assert "'weights.bin', which does not exist" in fault


def test_a_file_that_is_too_short_is_a_fault(model):
    weights = model.parent / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:20])
    with pytest.raises(InvalidModelError, match="initializer 'w' cannot be read"):
        load_graph(model)


@pytest.mark.parametrize("through", ["parent", "absolute", "folder", "link", "linked folder"])
def test_a_file_outside_of_the_model_s_folder_is_not_read(model, through):
    secret = model.parent.parent / "secret.bin"
    secret.write_bytes((model.parent / "weights.bin").read_bytes())
    location = {
        "parent": "../secret.bin",
        "absolute": secret,
        "folder": "../model/../secret.bin",
        "link": "link.bin",
        "linked folder": "up/secret.bin",
    }[through]
    if through == "link":
        (model.parent / "link.bin").symlink_to(secret)
    if through == "linked folder":
        (model.parent / "up").symlink_to(secret.parent)
    relocate(model, location)
    assert f"{str(location)!r}, outside of the model's folder" in fault_of(model)


def test_a_file_in_a_folder_inside_of_the_model_s_is_read(model):
    inner = model.parent / "data"
    inner.mkdir()
    (inner / "weights.bin").write_bytes((model.parent / "weights.bin").read_bytes())
    relocate(model, "data/weights.bin")
    assert NumpyModule.from_onnx(model)(X).shape == (1, 3)


def test_a_model_in_memory_has_no_folder_to_read_from(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    for given in (model.read_bytes(), onnx.load(model, load_external_data=False)):
        with pytest.raises(InvalidModelError, match="give the model's path") as raised:
            load_graph(given)
        assert len(raised.value.faults) == 2
    np.testing.assert_array_equal(
        NumpyModule.from_onnx(onnx.load(model))(X), NumpyModule.from_onnx(model)(X)
    )
