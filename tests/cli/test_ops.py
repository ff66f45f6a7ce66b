import json
import re

import onnx.defs
import pytest

from cml_core.cli.ops_facts import describe_plugin, plugins_in_force
from cml_core.cli.ops_show import print_details
from cml_core.cli.terminal import show_json
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpSchema
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry, default_registry


def test_list_is_one_row_per_plugin_with_totals_at_the_end(cli):
    lines = cli("ops", "list").out.splitlines()
    assert lines[0].split() == [
        "operator", "revisions", "float", "quantized", "kind", "plugin", "restrictions",
    ]  # fmt: skip
    conv = next(line for line in lines if line.startswith("Conv "))
    assert "1, 11, 22" in conv
    assert "linear" in conv
    assert "cml_ops_builtin.conv" in conv
    assert conv.endswith("W and B must be clear"), "nothing is cut off in a file or pipe"
    count = len({(e.plugin.schema.domain, e.plugin.schema.op_type) for e in default_registry()})
    assert lines[-1].startswith(f"{count} operators by {len(list(default_registry()))} plugins")


@pytest.mark.parametrize("option", [(), ("--missing",), ("--coverage",)])
def test_only_a_domain(cli, option):
    found = json.loads(cli("ops", "list", "--domain", "ai.onnx.ml", *option, "--json").out)
    rows = found["domains"] if option == ("--coverage",) else found
    assert {row["domain"] for row in rows} <= {"ai.onnx.ml"}
    assert bool(rows) == (option != ("--missing",))
    text = cli("ops", "list", "--domain", "ai.onnx", *option).out
    assert "ai.onnx.ml" not in text


def test_a_domain_that_nobody_has_operators_in(cli):
    told = " ".join(cli("ops", "list", "--domain", "org.exmaple", status=1).err.split())
    assert "one that operators are in: ai.onnx, ai.onnx.ml" in told


def test_list_as_json(cli):
    rows = json.loads(cli("ops", "list", "--json").out)
    conv = next(row for row in rows if row["op_type"] == "Conv")
    assert conv == {
        "domain": "",
        "op_type": "Conv",
        "since_versions": [1, 11, 22],
        "plugin": "cml_ops_builtin.conv",
        "package": "cml",
        "float": True,
        "quantized": True,
        "kind": "linear",
        "restrictions": "W and B must be clear",
    }
    assert all(row["float"] is True for row in rows)
    assert all(isinstance(row["quantized"], bool) for row in rows)
    served = {(r["domain"], r["op_type"], v) for r in rows for v in r["since_versions"]}
    ops = default_registry().ops
    assert served == {(key.domain, key.op_type, key.since_version) for key in ops}


def test_what_is_listed_and_what_is_missing_make_all_of_onnx(cli):
    listed = json.loads(cli("ops", "list", "--json").out)
    missing = json.loads(cli("ops", "list", "--missing", "--json").out)
    keys = {"domain", "op_type", "since_versions", "plugin", "package", "float", "quantized",
            "kind", "restrictions"}  # fmt: skip
    assert all(set(row) == keys for row in missing)
    assert all(row["plugin"] is None and row["float"] is False for row in missing)

    have = {(r["domain"], r["op_type"], v) for r in listed for v in r["since_versions"]}
    lack = {(r["domain"], r["op_type"], v) for r in missing for v in r["since_versions"]}
    assert not have & lack
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        for name, _, _ in {(s.name, s.domain, 0) for s in onnx.defs.get_all_schemas()}:
            schema = _schema(name, opset)
            if schema is not None and not onnx.defs.get_schema(name).deprecated:
                assert ("", name, schema.since_version) in have | lack


def _schema(name, opset):
    try:
        schema = onnx.defs.get_schema(name, opset)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def test_coverage_by_domain(cli):
    text = cli("ops", "list", "--coverage").out
    counts = {
        row["domain"]: row
        for row in json.loads(cli("ops", "list", "--coverage", "--json").out)["domains"]
    }
    rows = json.loads(cli("ops", "list", "--json").out)
    for domain, row in counts.items():
        names = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == domain}
        assert row["operators"] == (len(names) or None), "deprecated ones count"
        listed = [r for r in rows if r["domain"] == domain]
        assert row["float"] == len({r["op_type"] for r in listed})
        assert row["quantized"] == len({r["op_type"] for r in listed if r["quantized"]})
        assert row["revisions_float"] <= sum(len(r["since_versions"]) for r in listed)
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    ours = counts[""]
    assert lines["ai.onnx"] == [str(value) for value in list(ours.values())[1:]]
    missing = json.loads(cli("ops", "list", "--missing", "--json").out)
    lacking = sum(len(row["since_versions"]) for row in missing if row["domain"] == "")
    assert ours["revisions"] - ours["revisions_float"] == lacking
    last = cli("ops", "list").out.splitlines()[-1]
    assert f"of ONNX, {ours['float']} of {ours['operators']} in ai.onnx" in last


@pytest.mark.usefixtures("example_domain")
def test_coverage_of_a_domain_that_onnx_does_not_know(cli):
    counts = json.loads(cli("ops", "list", "--coverage", "--json").out)["domains"]
    (row,) = (row for row in counts if row["domain"] == "org.example")
    assert list(row.values()) == ["org.example", None, 2, 1, None, 2]


def test_missing_and_coverage_exclude_each_other(cli):
    assert "it alone, or --missing" in cli("ops", "list", "--missing", "--coverage", status=1).err


def test_missing_as_a_table(cli, monkeypatch):
    from cml_core.plugins.registry import OpRegistry

    one = [p for p in default_registry().plugins if p.name.endswith(".sigmoid")]
    registry = OpRegistry.from_plugins(one)
    monkeypatch.setattr("cml_core.plugins.registry.default_registry", lambda: registry)
    lines = cli("ops", "list", "--missing").out.splitlines()
    names = {line.split()[0] for line in lines[1:-2]}
    assert {"Relu", "Conv", "ai.onnx.ml.TreeEnsemble"} <= names
    assert not {"Sigmoid", "Upsample", "ai.onnx.training.Adam"} & names, (
        "present, deprecated, of another domain"
    )
    relu = next(line for line in lines if line.startswith("Relu "))
    assert relu.split(maxsplit=1)[1] == "6, 13, 14", "6 is in force at opset 7, 1 is not"
    assert lines[-1].startswith(f"{len(names)} operators of ONNX lack a plugin")


def test_show(cli):
    text = cli("ops", "show", "Gemm").out
    assert text.startswith("Gemm: alpha * A' @ B' + beta * C")
    for part in ("cml_ops_builtin.gemm (cml ", "7, 9, 11, 13", "linear", "float and quantized",
                 "alpha: float, default 1.0",
                 "transA: int, default 0", "float32[2, 3], float32[3, 4], float32[4]",
                 "transB=1"):  # fmt: skip
        assert part in text


def test_show_says_what_a_user_needs_to_know(cli):
    text = cli("ops", "show", "LSTM").out
    assert "Under encryption the loop is unrolled." in text, "the whole description"
    assert "B (optional)" in text
    text = cli("ops", "show", "Upsample").out
    assert "by ONNX as of opset 10" in text
    assert re.findall(r"revisions +(\d+)", text)[:2] == ["9", "7"], "the newest first"
    text = cli("ops", "show", "ArgMax").out
    assert "(3 lookups, at most 4 bits into a lookup)" in text
    assert "(opset 11)" in text
    text = cli("ops", "show", "Constant").out
    assert "value=float16[1, 2]" in text
    assert "data_type" not in text


def test_attributes_of_examples_that_are_graphs_or_long():
    from onnx import helper

    from cml_core.cli.ops_facts import _attribute
    from cml_core.cli.ops_show import _print_value

    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])] * 2, "g", [], [])
    assert _print_value(_attribute(graph)) == "a graph of 2 nodes"
    assert _print_value(_attribute(list(range(99)))).endswith("…")
    assert _print_value(_attribute(0.5)) == "0.5"


def test_show_as_json(cli):
    shown = json.loads(cli("ops", "show", "Gemm", "--domain", "ai.onnx", "--json").out)
    assert shown["op_type"] == "Gemm"
    plugin = shown["plugins"][0]
    assert plugin["since_versions"] == [7, 9, 11, 13]
    assert {"name": "alpha", "type": "float", "required": False, "default": 1.0} in plugin[
        "attributes"
    ]
    assert plugin["examples"][0]["inputs"][0] == {"shape": [2, 3], "dtype": "float32"}


def test_every_operator_can_be_shown(capsys):
    for entry, keys in plugins_in_force(default_registry()):
        detail = describe_plugin(entry, keys)
        print_details(detail)
        assert entry.name in capsys.readouterr().out
        show_json(detail)
        assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


@pytest.mark.usefixtures("example_domain")
def test_show_an_operator_that_onnx_does_not_know(cli):
    text = cli("ops", "show", "Part").out
    assert "org.example" in text
    assert "on Fridays" in text
    assert "float only" in cli("ops", "show", "Half", "--domain", "org.example").out


@pytest.mark.parametrize("name", ["gemm", "Gem", "Gemms"])
def test_an_unknown_name_brings_close_ones(cli, name):
    error = cli("ops", "show", name, status=1).err
    assert error.startswith(f"error: there is no operator '{name}'. Did you mean Gemm")


def test_an_unknown_name_like_no_other(cli):
    error = cli("ops", "show", "[red]zzzzzz", status=1).err
    assert error == "error: there is no operator '[red]zzzzzz'.\n", "markup is not interpreted"


def test_an_operator_in_the_wrong_domain(cli):
    error = cli("ops", "show", "Gemm", "--domain", "ai.onnx.ml", status=1).err
    assert "there is no operator 'ai.onnx.ml.Gemm'" in error


def test_an_operator_of_onnx_that_nobody_provides(cli, monkeypatch):
    from cml_core.plugins.registry import OpRegistry

    registry = OpRegistry({})
    monkeypatch.setattr("cml_core.plugins.registry.default_registry", lambda: registry)
    error = cli("ops", "show", "Relu", status=1).err
    assert "no plugin provides Relu, which ONNX has in revisions 6, 13, 14" in error


def test_attributes_that_the_function_has_defaults_for(cli, monkeypatch):
    def function(x, bias=None, *, gain, slope=0.5, mode=None):
        return (x,)

    plugin = OpPlugin(OpSchema("Odd", (1,), domain="org.example"), function)
    registry = OpRegistry.from_plugins([LoadedPlugin("example.odd", provides=plugin)])
    monkeypatch.setattr("cml_core.plugins.registry.default_registry", lambda: registry)
    text = cli("ops", "show", "Odd").out
    for line in ("gain: required", "slope: float, default 0.5", "mode: optional"):
        assert line in text
    assert "bias" not in text
    (shown,) = json.loads(cli("ops", "show", "Odd", "--json").out)["plugins"]
    assert {"name": "slope", "type": "float", "required": False, "default": 0.5} in (
        shown["attributes"]
    )
