"""Sequences and optionals on the command line: their tensors one by one, by number."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.models import make_model, node, value

SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))


def save(tmp_path, nodes, kind, output):
    path = tmp_path / "model.onnx"
    inputs = [helper.make_value_info("s", kind), value("x", [2])]
    onnx.save(make_model(nodes, inputs, [output]), path)
    return path


def written(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_sequence_is_read_and_written_by_number(cli, tmp_path, count):
    path = save(tmp_path, [node("SequenceInsert", ["s", "x"], ["t"])], SEQUENCE, "t")
    given = {f"s/{k}": np.full(k + 1, k, np.float32) for k in range(count)}
    np.savez(tmp_path / "x.npz", x=np.float32([8, 9]), **given)
    result = cli("run", path, "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz")
    assert result.out == f"wrote {tmp_path / 'y.npz'}: t (a sequence of {count + 1})\n"
    found = written(tmp_path / "y.npz")
    assert list(found) == [f"t/{k}" for k in range(count + 1)]
    for k in range(count):
        np.testing.assert_array_equal(found[f"t/{k}"], given[f"s/{k}"])
    np.testing.assert_array_equal(found[f"t/{count}"], [8, 9])


@pytest.mark.parametrize("there", [False, True])
def test_an_optional_that_is_not_there_is_empty(cli, tmp_path, there):
    kind = helper.make_optional_type_proto(SEQUENCE)
    path = save(tmp_path, [node("OptionalHasElement", ["s"], ["t"])], kind, "t")
    given = {"s/0": np.ones(1, np.float32)} if there else {}
    np.savez(tmp_path / "x.npz", x=np.float32([8, 9]), **given)
    cli("run", path, "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz")
    assert written(tmp_path / "y.npz")["t"] == there
