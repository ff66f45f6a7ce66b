import io
import json
import pickle
import re
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.cli.run import _time_text
from tests.networks import samples


def test_run_writes_what_the_module_gives(cli, net_path, input_path, tmp_path):
    output = tmp_path / "y.npz"
    result = cli("run", net_path, "--input", input_path, "--output", output)
    assert result.err == ""
    module = cml.NumpyModule.from_onnx(net_path)
    (name,) = (spec.name for spec in module.outputs)
    assert result.out == f"wrote {output}: {name} float32[2, 2]\n"
    with np.load(output) as written:
        assert written.files == [name]
        np.testing.assert_array_equal(written[name], module(samples([3])[:2]))


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_a_lone_input_may_have_any_name(cli, net_path, tmp_path, suffix):
    path = tmp_path / f"input.{suffix}"
    if suffix == "npy":
        np.save(path, samples([3])[:2])
    else:
        np.savez(path, whatever=samples([3])[:2])
    cli("run", net_path, "--input", path, "--output", tmp_path / "y.npz")


@pytest.fixture
def two_inputs(tmp_path):
    """A model with the inputs `a` and `b` and an output with a name that np.savez refuses."""
    specs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "ab"]
    result = helper.make_tensor_value_info("file", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["file"])], "g", specs, [result])
    path = tmp_path / "two.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_several_inputs_by_name(cli, two_inputs, tmp_path):
    a, b = np.float32([[1, 2]]), np.float32([[3, 4]])
    np.savez(tmp_path / "x.npz", b=b, a=a)
    cli("run", two_inputs, "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as written:
        np.testing.assert_array_equal(written["file"], a + b)


# --- JSON and profiles ----------------------------------------------------------------------------


@pytest.fixture
def run_net(cli, net_path, input_path, tmp_path):
    def run(*options):
        output = tmp_path / "y.npz"
        result = cli("run", net_path, "--input", input_path, "--output", output, *options)
        assert output.exists()
        return result.out

    return run


def test_as_json(run_net, net_path, tmp_path):
    report = json.loads(run_net("--json"))
    (output,) = report["outputs"]
    assert output == {"name": output["name"], "dtype": "float32", "shape": [2, 2]}
    assert report["model"] == str(net_path)
    assert report["output"] == str(tmp_path / "y.npz")
    assert "profile" not in report


def test_a_profile_as_json(run_net, net_path):
    profile = json.loads(run_net("--profile", "--json", "--repeat", 2))["profile"]
    nodes = cml.NumpyModule.from_onnx(net_path).graph.nodes
    assert [node["node"] for node in profile["nodes"]] == [bound.name for bound in nodes]
    assert profile["runs"] == 2
    assert {op["op_type"] for op in profile["operators"]} == {"Gemm", "Relu"}
    assert profile["seconds"] > 0


def test_a_profile_as_tables(run_net):
    lines = run_net("--profile").splitlines()
    assert lines[0].startswith("wrote ")
    assert lines[2].split() == ["operator", "nodes", "time", "share", "outputs", "temporary"]
    rows = {line.split()[0]: line for line in lines[3:6]}
    assert set(rows) == {"Gemm", "Relu", "between"} or len(rows) == 3
    assert re.search(r"Gemm +2 +[\d.]+ (s|ms|µs) +[\d.]+ % +32 bytes", rows["Gemm"])
    assert lines[7].split() == [
        "node", "operator", "time", "share", "outputs", "size", "temporary"
    ]  # fmt: skip
    assert sum("float32[2, 2]" in line for line in lines[8:11]) == 3
    assert lines[-2].startswith("time ")
    assert lines[-2].endswith("the median of 5")
    assert lines[-1].startswith("memory ")


def test_the_slowest_nodes_or_all_of_them_in_order(cli, model_with, tmp_path):
    model = model_with(*["Relu"] * 30, bare=True)
    np.savez(tmp_path / "x.npz", samples([3])[:2])
    files = ["--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz"]

    def shown(option):
        text = cli("run", model, *files, option, "--repeat", 1).out
        table = text[text.index("node ") :].split("\n\n")[0].splitlines()[1:]
        return text, [line.split()[0] for line in table if "float32" in line]

    text, names = shown("--profile")
    assert len(names) == 20
    assert "and 10 faster nodes (--profile-all shows them)" in text
    text, names = shown("--profile-all")
    assert names == [bound.name for bound in cml.NumpyModule.from_onnx(model).graph.nodes]
    assert "faster nodes" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.3456, "12.3 s"), (0.5, "500 ms"), (2.5e-4, "250 µs"), (0, "0 µs")]
)
def test_durations_as_text(seconds, text):
    assert _time_text(seconds) == text


# --- inputs that do not fit ---------------------------------------------------------------------


@pytest.fixture
def refused(cli, tmp_path):
    """Run a model on arrays (or on a file) that it must refuse; gives the error."""

    def run(model, path=None, **arrays):
        if path is None:
            path = tmp_path / "bad.npz"
            np.savez(path, **arrays)
        output = tmp_path / "never.npz"
        result = cli("run", model, "--input", path, "--output", output, status=1)
        assert result.out == ""
        assert not output.exists()
        return result.err

    return run


def test_a_wrong_name(refused, two_inputs):
    x = np.zeros((1, 2), dtype=np.float32)
    error = refused(two_inputs, a=x, c=x)
    assert "missing input: b" in error
    assert "no such input: c" in error
    assert "The model's inputs are: a, b." in error


def test_several_arrays_for_one_input(refused, net_path):
    error = refused(net_path, calibration=samples([3]), test=samples([3]))
    assert "missing input: x" in error


def test_a_wrong_rank(refused, net_path):
    assert "has shape (3,), expected 2 dimensions" in refused(net_path, x=np.float32([1, 2, 3]))


def test_a_wrong_shape(refused, net_path):
    assert "has shape (1, 4), expected (batch, 3)" in refused(net_path, x=np.zeros((1, 4)))


def test_a_wrong_dtype(refused, net_path):
    assert "expected float32" in refused(net_path, x=np.array([["a", "b", "c"]]))


def test_no_arrays_at_all(refused, net_path):
    assert "missing input: x" in refused(net_path)


def test_one_unnamed_array_for_several_inputs(refused, two_inputs, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    assert "the model's inputs are: a, b" in refused(two_inputs, tmp_path / "x.npy")


# --- files that are not what they should be -------------------------------------------------------


def test_an_input_file_that_is_not_there(refused, net_path, tmp_path):
    path = tmp_path / "nowhere.npz"
    assert f"error: {path}: cannot be read: No such file" in refused(net_path, path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"x,y\n1,2\n", "is neither an .npz nor an .npy file"),
        (b"PK\x03\x04 and then nothing", "is damaged or cut short"),
        (b"\x93NUMPY\x01\x00", "is damaged or cut short"),
        (pickle.dumps([1, 2, 3]), "holds pickled Python objects, which are never loaded"),
    ],
)
def test_an_input_file_of_another_kind(refused, net_path, tmp_path, content, reason):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert reason in refused(net_path, path)


def test_a_truncated_npz(refused, net_path, tmp_path, input_path):
    path = tmp_path / "cut.npz"
    path.write_bytes(input_path.read_bytes()[:-40])
    assert "is damaged or cut short" in refused(net_path, path)


class Trap:
    """Fails the test if it is ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_objects_are_never_unpickled(refused, net_path, tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    array = np.array([Trap()], dtype=object)
    (np.save if suffix == "npy" else np.savez)(path, array)
    assert "holds pickled Python objects" in refused(net_path, path)


def test_a_zip_of_something_else(refused, net_path, tmp_path):
    path = tmp_path / "x.npz"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "hello")
    path.write_bytes(buffer.getvalue())
    assert "holds 'notes.txt', which is not an array" in refused(net_path, path)


def test_an_output_folder_that_is_not_there(cli, net_path, input_path, tmp_path):
    output = tmp_path / "no" / "y.npz"
    error = cli("run", net_path, "--input", input_path, "--output", output, status=1).err
    assert f"{output}: cannot be written: there is no folder {output.parent}" in error


def test_a_folder_in_place_of_the_output(cli, net_path, input_path, tmp_path):
    error = cli("run", net_path, "--input", input_path, "--output", tmp_path, status=1).err
    assert f"{tmp_path}: cannot be written" in error
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_npy_files_have_no_dtype_for(tmp_path):
    import ml_dtypes

    from cml_core.cli.arrays import write_arrays
    from cml_core.errors import OutputFileError

    path = tmp_path / "y.npz"
    text = np.array(["one", "three"], dtype=object)
    write_arrays(path, {"text": text, "half": np.array([1.5], dtype=ml_dtypes.bfloat16)})
    with np.load(path, allow_pickle=False) as written:
        assert written["text"].tolist() == ["one", "three"]
        assert written["half"].dtype == np.float32
        assert written["half"].tolist() == [1.5]
    with pytest.raises(OutputFileError, match="'list', which is not a tensor"):
        write_arrays(path, {"list": [text]})


def test_what_is_read_is_not_written_over(cli, net_path, input_path, tmp_path):
    link, hard = tmp_path / "link.npz", tmp_path / "hard.npz"
    link.symlink_to(input_path)
    hard.hardlink_to(input_path)
    before = input_path.read_bytes(), net_path.read_bytes()
    for output in (input_path, link, hard, net_path):
        error = cli("run", net_path, "--input", input_path, "--output", output, status=1).err
        assert f"{output}: cannot be written: it is what is read" in error
    assert (input_path.read_bytes(), net_path.read_bytes()) == before


def test_an_output_behind_a_link_without_a_folder_is_refused_early(
    cli, net_path, input_path, tmp_path
):
    link = tmp_path / "link.npz"
    link.symlink_to("nowhere/y.npz")
    error = cli("run", net_path, "--input", input_path, "--output", link, status=1).err
    assert "there is no folder" in error
    assert "Create it first." in error
