import json

import pytest

BROKEN = "raise RuntimeError('no [bold]luck[/] today')\n"
RELU_AGAIN = """
from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

@hookimpl
def cml_op():
    return OpPlugin(OpSchema("Relu", (14,)), lambda x: (x,))
"""


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
    assert result.out.splitlines()[-1].endswith("1 failed")
    assert result.err == ""


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
