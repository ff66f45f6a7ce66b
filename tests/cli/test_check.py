import json
import shlex

import onnx
import pytest

from cml_core.ops.elementwise import ElementwiseQuantizedOp
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpSchema
from cml_core.plugins.registry import OpRegistry, default_registry
from tests.models import loaded, plugin
from tests.networks import mlp


def test_a_model_that_can_be_quantized(cli, net_path):
    lines = cli("check", net_path).out.splitlines()
    assert lines[:3] == [
        f"{net_path}: 3 nodes",
        "float: yes",
        "quantized: yes, 3 nodes on encrypted data, 0 by the client after decryption",
    ]
    report = json.loads(cli("check", net_path, "--json").out)
    assert report["model"] == str(net_path)
    assert report["runnable"] is True
    assert report["quantizable"] is True
    assert report["nodes"] == []
    assert report["restrictions"] == []


def test_every_operator_that_nobody_provides_is_named(cli, model_with):
    path = model_with("Frobnicate", "Relu", "Twiddle", domain="com.example.[red]")
    result = cli("check", path, status=1)
    assert "float: no" in result.out
    assert "node 'frobnicate1' (com.example.[red].Frobnicate): no plugin provides" in result.out
    assert "node 'twiddle3' (com.example.[red].Twiddle): no plugin provides" in result.out
    assert "cannot be run: 3 of 5 nodes stand in the way" in result.err

    report = json.loads(cli("check", path, "--json", status=1).out)
    assert report["runnable"] is False
    assert report["quantizable"] is False
    first = report["nodes"][0]
    assert set(first) == {"node", "operator", "reason", "hint", "stage"}
    assert first["stage"] == "float"
    assert first["hint"]


def test_a_blocked_plugin_is_told_and_nothing_is_guessed(process, net_path):
    blocked = {"CML_DISABLE_PLUGINS": "cml_ops_builtin.relu"}
    result = process("check", net_path, status=1, **blocked)
    assert "Plugin 'cml_ops_builtin.relu' is blocked." in result.out
    for guess in ("Did you mean", "Install a plugin", "Start a plugin"):
        assert guess not in result.out


@pytest.mark.usefixtures("example_domain")
def test_a_model_that_runs_in_float_only(cli, model_with):
    path = model_with("Half", domain="org.example")
    result = cli("check", path, status=1)
    assert "float: yes" in result.out
    assert "quantized: no" in result.out
    assert "node 'half1' (org.example.Half): plugin 'example.half' provides it in float only" in (
        result.out
    )
    assert "cannot be quantized: 1 of 3 nodes stands in the way" in result.err
    report = json.loads(cli("check", path, "--json", status=1).out)
    assert (report["runnable"], report["quantizable"]) == (True, False)
    assert [node["stage"] for node in report["nodes"]] == ["quantized"]


@pytest.mark.usefixtures("example_domain")
def test_what_would_help_is_said_once_for_each_operator(cli, model_with):
    path = model_with("Half", "Half", "Relus", domain="com.example")
    text = cli("check", path, status=1).out
    assert text.count("Plugin 'example.half' provides Half of org.example, in float only.") == 1
    proposals = json.loads(cli("check", path, "--json", status=1).out)["proposals"]
    assert [p["operator"] for p in proposals] == ["com.example.Half", "com.example.Relus"]
    assert (proposals[0]["domain"], proposals[0]["op_type"]) == ("com.example", "Half")
    assert any("write one" in sentence for sentence in proposals[0]["proposals"])


def test_the_command_that_starts_a_plugin_is_named_and_works(cli, model_with, tmp_path):
    pytest.importorskip("copier", reason="copier is not installed")
    path = model_with("Frobnicate", domain="com.example.[red]")
    told = "cml ops new Frobnicate --domain 'com.example.[red]' DIR"
    assert told in cli("check", path, status=1).out
    cli(*shlex.split(told)[1:-1], tmp_path / "frob-ops")
    assert (tmp_path / "frob-ops" / "frob_ops" / "frobnicate.py").exists()
    old = model_with("Gelu", opset=13)
    assert "cml ops new" not in cli("check", old, status=1).out, "ONNX itself has it later only"


@pytest.mark.usefixtures("example_domain")
def test_where_a_quantized_form_may_come_from(cli, model_with):
    path = model_with("Half", domain="org.example")
    (proposal,) = json.loads(cli("check", path, "--json", status=1).out)["proposals"]
    assert proposal["proposals"] == [
        "Give plugin 'example.half' a quantized form, or write a plugin with one that overrides "
        "it: see docs/add-an-operator.md."
    ]


def test_quantized_forms_of_other_plugins(cli, model_with, monkeypatch):
    form = ElementwiseQuantizedOp(lambda x: (x,))
    found = [
        *default_registry().plugins,
        loaded("mine", plugin("Odd", overrides="yours")),
        loaded("yours", plugin("Odd", quantized_op=form)),
        loaded("elsewhere", plugin("Odd", domain="other", quantized_op=form)),
    ]
    registry = OpRegistry.from_plugins(found)
    monkeypatch.setattr("cml_core.plugins.registry.default_registry", lambda: registry)
    path = model_with("Odd", domain="test")
    (proposal,) = json.loads(cli("check", path, "--json", status=1).out)["proposals"]
    assert proposal["proposals"][:2] == [
        "Plugin 'elsewhere' has a quantized form of Odd of other.",
        "Plugin 'yours' has a quantized form, and 'mine' is used in its place: block that with "
        "CML_DISABLE_PLUGINS.",
    ]


def test_a_use_that_breaks_the_schema_needs_no_other_plugin(cli, model_with):
    path = model_with("Cast")
    report = json.loads(cli("check", path, "--json", status=1).out)
    assert report["nodes"][0]["reason"].endswith("needs the attribute to")
    assert report["proposals"] == []


@pytest.mark.usefixtures("example_domain")
def test_restrictions_are_reported_and_are_no_obstacle(cli, model_with):
    path = model_with("Part", domain="org.example")
    assert "node 'part1' (org.example.Part): on Fridays" in cli("check", path).out
    (row,) = [
        row
        for row in json.loads(cli("check", path, "--json").out)["restrictions"]
        if row["node"] == "part1"
    ]
    assert row["restrictions"] == "on Fridays"


def test_a_float_tail_is_left_to_the_client(cli, digits):
    report = json.loads(cli("check", digits.path, "--json").out)
    assert report["client_nodes"] == 1


def test_constants_that_cannot_be_computed(cli, tmp_path):
    model = mlp([3, 2])
    model.graph.node.insert(
        0, onnx.helper.make_node("Add", [model.graph.node[0].input[1], "odd"], ["bad"], name="odd")
    )
    odd = onnx.helper.make_tensor("odd", onnx.TensorProto.FLOAT, [7], [0.0] * 7)
    model.graph.initializer.append(odd)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    result = cli("check", path, status=1)
    assert "node 'odd' (Add): " in result.out
    assert "float: no" in result.out


# --- models that cannot be read -----------------------------------------------------------------


@pytest.fixture(params=["check", "run", "compile"])
def with_model(request, cli, tmp_path, calibration_path):
    """Give a model to each command that takes one."""
    output = tmp_path / "output"
    options = {
        "check": [],
        "run": ["--input", calibration_path, "--output", output],
        "compile": ["--calibration", calibration_path, "--output", output, "--no-circuit"],
    }[request.param]

    def run(path):
        result = cli(request.param, path, *options, status=1)
        assert result.out == ""
        assert not output.exists()
        return result.err

    return run


def test_a_truncated_model(with_model, net_path, tmp_path):
    path = tmp_path / "cut.onnx"
    content = net_path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    error = with_model(path)
    assert error.startswith("error: ")
    assert str(path) in error


def test_a_file_that_is_no_model(with_model, tmp_path):
    path = tmp_path / "notes.onnx"
    path.write_text("not a model\n")
    assert f"error: {path} cannot be read as an ONNX model" in with_model(path)


def test_an_empty_file(with_model, tmp_path):
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    assert "it is empty" in with_model(path)


def test_a_model_that_is_not_there(with_model, tmp_path):
    assert "No such file or directory" in with_model(tmp_path / "nowhere.onnx")


def test_a_folder_in_place_of_a_model(with_model, tmp_path):
    assert "cannot be read" in with_model(tmp_path)


def test_an_opset_that_is_too_new(with_model, tmp_path):
    model = mlp([3, 2])
    model.opset_import[0].version = 9999
    path = tmp_path / "new.onnx"
    path.write_bytes(model.SerializeToString())
    error = with_model(path)
    assert "opset 9999 of ai.onnx is not supported" in error
    assert "upgrade the onnx package" in error


def test_a_graph_that_breaks_the_rules(with_model, tmp_path):
    model = mlp([3, 2])
    model.graph.node[0].input[0] = "nothing"
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    assert "uses tensor 'nothing', which nothing produces" in with_model(path)


def test_a_body_that_is_never_written_out_stands_in_the_way(cli, model_with, monkeypatch):
    def body(writer, x):
        return (writer.add("Round", x, domain="test"),)

    endless = OpPlugin(OpSchema("Round", (1,), domain="test"), lambda x: (x,), body=body)
    registry = default_registry().with_plugins(endless)
    for module in ("cml_core.plugins.registry", "cml_core.numpy_module"):
        monkeypatch.setattr(f"{module}.default_registry", lambda: registry)
    result = cli("check", model_with("Round", domain="test"), status=1)
    assert "quantized: no" in result.out
    assert "its body uses Round itself, and so is never written out" in result.out
