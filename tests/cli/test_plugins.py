import json

import pytest
from typer.testing import CliRunner

from cml_core.cli import app

BROKEN = "raise RuntimeError('no [bold]luck[/] today')\n"
RELU_AGAIN = """
from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

@hookimpl
def cml_op():
    return OpPlugin(OpSchema("Relu", (14,)), lambda x: (x,))
"""
CUBE = """
from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

@hookimpl
def cml_op():
    return OpPlugin(OpSchema("Cube", (1,), domain="test"), lambda x: (x,))
"""
CUBE_AGAIN = CUBE.replace("(x,))", "(x,), overrides='loud_plugin')")


@pytest.fixture
def installed(plugin_folder, monkeypatch):
    def install(**modules):
        monkeypatch.syspath_prepend(plugin_folder(**modules))

    return install


def _rows(result):
    return {row["name"]: row for row in json.loads(result.out)}


def test_all_groups_are_listed(cli):
    rows = _rows(cli("plugins", "list", "--json"))
    gemm = rows["cml_ops_builtin.gemm"]
    assert gemm["group"] == "operator"
    assert gemm["status"] == "loaded"
    assert gemm["distribution"] == "cml"
    assert gemm["provides"] == "Gemm 7, 9, 11, 13"
    backend = rows["cml_core.fhe.concrete_python"]
    assert backend["group"] == "backend"
    assert backend["provides"].startswith("concrete-python (")


def test_a_broken_plugin_is_shown_and_does_no_harm(cli, installed):
    installed(broken_plugin=BROKEN)
    result = cli("plugins", "list")
    (line,) = [line for line in result.out.splitlines() if "broken_plugin" in line]
    assert line.split()[:5] == ["operator", "broken_plugin", "others", "2.5", "failed"]
    assert line.endswith("RuntimeError: no [bold]luck[/] today")
    assert " 1 failed; loaded in " in result.out.splitlines()[-1]
    assert result.err == ""


def test_what_it_takes_and_does_to_load_is_listed(cli, installed):
    installed(loud_plugin="print('hello')\n" + CUBE, cube_again=CUBE_AGAIN, relu_again=RELU_AGAIN)
    result = cli("plugins", "list", "--json")
    rows = _rows(result)
    assert rows["loud_plugin"]["notes"] == ["prints when imported: hello"]
    assert rows["loud_plugin"]["overridden_by"] == ["cube_again"]
    assert rows["cube_again"]["overrides"] == "loud_plugin"
    assert rows["relu_again"]["notes"] == [
        "cml_ops_builtin.relu provides ai.onnx::Relu-14 too, so neither serves it"
    ]
    assert all(row["seconds"] > 0 for row in rows.values())
    lines = {line.split()[1]: line for line in cli("plugins", "list").out.splitlines() if line}
    assert lines["cube_again"].endswith("overrides loud_plugin")
    assert lines["loud_plugin"].endswith("overridden by cube_again"), "it prints but once"


def test_what_would_help_is_listed(cli, installed):
    installed(needy_plugin="import no_such_library")
    row = _rows(cli("plugins", "list", "--json"))["needy_plugin"]
    assert row["error"] == "ModuleNotFoundError: No module named 'no_such_library'"
    assert row["hint"].startswith("Install what provides 'no_such_library'; others does not")
    assert row["hint"] in cli("plugins", "list").out
    assert row["hint"] in cli("plugins", "list", "--strict", status=1).err


def test_strict_makes_the_first_failure_an_error(cli, installed):
    installed(broken_plugin=BROKEN)
    result = cli("plugins", "list", "--strict", "--json", status=1)
    assert _rows(result)["broken_plugin"]["status"] == "failed", "the list is still printed"
    assert "plugin 'broken_plugin' failed: RuntimeError: no [bold]luck[/] today" in result.err


def test_strict_by_environment(cli, installed, monkeypatch):
    installed(broken_plugin=BROKEN)
    monkeypatch.setenv("CML_STRICT_PLUGINS", "1")
    assert "broken_plugin" in cli("plugins", "list", status=1).err


def test_a_blocked_plugin_is_shown(cli, monkeypatch):
    monkeypatch.setenv("CML_DISABLE_PLUGINS", "cml_ops_builtin.gemm")
    assert _rows(cli("plugins", "list", "--json"))["cml_ops_builtin.gemm"]["status"] == "blocked"


def test_two_plugins_for_one_operator(cli, installed):
    installed(relu_again=RELU_AGAIN)
    result = cli("plugins", "list")
    (warning,) = result.err.splitlines()
    assert warning.startswith("warning: plugins 'cml_ops_builtin.relu' and 'relu_again' both")
    assert "both provide" in cli("plugins", "list", "--strict", status=1).err


def test_other_commands_warn_of_a_broken_plugin_in_one_line(process, plugin_folder):
    folder = plugin_folder(broken_plugin=BROKEN)
    result = process("ops", "list", "--json", folder=folder)
    (warning,) = result.err.splitlines()
    assert warning == (
        "warning: plugin 'broken_plugin' was left out: RuntimeError: no [bold]luck[/] today"
    )
    json.loads(result.out)
    error = process("ops", "list", status=1, folder=folder, CML_STRICT_PLUGINS="1").err
    assert error.startswith("error: plugin 'broken_plugin' failed")


# --- show ---


def test_show_says_everything_of_a_plugin(cli):
    text = cli("plugins", "show", "cml_ops_builtin.gemm").out
    assert text.startswith("Gemm: alpha * A' @ B' + beta * C")
    for part in ("cml 0.", "gemm.py", "loaded", "Gemm 7, 9, 11, 13", "float and quantized",
                 "`cml ops show Gemm`"):  # fmt: skip
        assert part in text
    shown = json.loads(cli("plugins", "show", "cml_ops_builtin.gemm", "--json").out)
    assert (shown["op_type"], shown["domain"]) == ("Gemm", "")
    assert shown["examples"] > 0
    backend = json.loads(cli("plugins", "show", "concrete_python", "--json").out)
    assert backend["group"] == "backend", "the end of a name will do"
    assert "op_type" not in backend


def test_show_says_why_and_where_a_plugin_failed(installed):
    installed(broken_plugin=BROKEN.replace("raise", "def f():\n    raise") + "f()\n")
    done = CliRunner().invoke(app, ["plugins", "show", "broken_plugin"])
    assert done.exit_code == 0
    for part in ("failed", "RuntimeError: no [bold]luck[/] today", "in f", "broken_plugin.py"):
        assert part in done.stdout
    done = CliRunner().invoke(app, ["plugins", "show", "others", "--json"])
    shown = json.loads(done.stdout)
    assert shown["name"] == "broken_plugin", "the only one of its distribution"
    assert shown["traceback"].startswith("Traceback")


def test_show_a_blocked_plugin(cli, monkeypatch):
    monkeypatch.setenv("CML_DISABLE_PLUGINS", "cml_ops_builtin.gemm")
    text = cli("plugins", "show", "gemm").out
    assert "'cml_ops_builtin.gemm' is blocked" in text
    assert "gemm.py" in text


@pytest.mark.parametrize("name", ["rellu", "cml_ops_builtin.relus", "cml_ops_bultin.relu"])
def test_a_misspelt_name_brings_close_ones(cli, name):
    error = cli("plugins", "show", name, status=1).err
    assert error.startswith(
        f"error: there is no plugin '{name}'. Did you mean cml_ops_builtin.relu"
    )


def test_names_of_nothing_and_of_many(cli):
    assert "`cml plugins list` names them all" in cli("plugins", "show", "zzzzz", status=1).err
    error = cli("plugins", "show", "cml_ops_contrib", status=1).err
    assert "is the name of " in error
    assert " more." in error
