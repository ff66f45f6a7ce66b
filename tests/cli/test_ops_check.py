"""`cml ops check`: the conformance kit from the command line."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
CLEAR = ("--legs", "float,calibration,integers,saving")
MODULE = """
import numpy as np
from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

def double(x):
    print("{{")
    return ({factor} * x,)

@hookimpl
def cml_op():
    x = np.float32([[1.0, -2.0, 3.0]])
    examples = (OpExample((x,), outputs=(2 * x,), name="three"),)
    return OpPlugin(OpSchema("{name}", (1,), domain="test"), double, examples=examples)
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder to import from, as the one in which the command is started."""
    shutil.copytree(PACKAGES / "good_ops" / "good_ops", tmp_path / "good_ops")
    pack = tmp_path / "pack_of_doubles"
    pack.mkdir()
    (pack / "__init__.py").write_text("")
    (pack / "right.py").write_text(MODULE.format(factor=2, name="Double"))
    (pack / "wrong.py").write_text(MODULE.format(factor=3, name="Twice"))
    (pack / "rotten.py").write_text("import no_such_library")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] in ("good_ops", pack.name)]:
        del sys.modules[name]


@pytest.mark.usefixtures("packages")
def test_a_good_package(cli):
    result = cli("ops", "check", "good_ops", *CLEAR)
    lines = result.out.splitlines()
    assert lines[0].split() == ["plugin", "examples", "float", "calibration", "integers", "saving"]
    assert lines[1].split() == ["good_ops.cube", "2", *["pass"] * 4]
    assert lines[-1] == "8 passed"
    assert result.err == "", "no progress where nobody watches"


@pytest.mark.usefixtures("packages")
def test_failures_come_with_what_was_expected_and_the_likely_cause(cli):
    result = cli("ops", "check", "pack_of_doubles", *CLEAR, status=1)
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.strip()}
    assert rows["pack_of_doubles.right"] == ["1", "pass", "pass", "skip", "skip"]
    assert rows["pack_of_doubles.wrong"] == ["1", "FAIL", "skip", "skip", "skip"]
    assert rows["pack_of_doubles.rotten"] == ["0", "FAIL"]
    for part in (
        "pack_of_doubles.wrong, example 'three', float: output 0 is wrong",
        "got       [[ 3., -6.,  9.]]",
        "expected  [[ 2., -4.,  6.]]",
        "likely cause: every element is 1.5 times what is expected",
        "pack_of_doubles.rotten, loading: the plugin does not load: ModuleNotFoundError",
        "likely cause: Install what provides 'no_such_library'.",
        "2 × the plugin is float only",
        "2 passed, 5 skipped, 2 failed",
    ):
        assert part in result.out
    assert result.err.endswith("error: 2 of 3 plugins failed.\n")


@pytest.mark.usefixtures("packages")
def test_as_json(cli):
    result = cli("ops", "check", "pack_of_doubles", "--legs", "float", "--json", status=1)
    found = json.loads(result.out)
    assert {k: found[k] for k in ("legs", "passed", "skipped", "failed")} == {
        "legs": ["float"], "passed": 1, "skipped": 0, "failed": 2,
    }  # fmt: skip
    wrong = next(r for r in found["results"] if r["plugin"] == "pack_of_doubles.wrong")
    assert wrong["cause"].startswith("every element is 1.5 times")
    assert wrong["got"] == "[[ 3., -6.,  9.]]"
    assert "{" in result.err, "what operators print goes elsewhere"


def test_installed_operators_by_name_or_part(cli):
    for name in ("Relu", "builtin.relu"):
        found = json.loads(cli("ops", "check", name, "--legs", "float", "--json").out)
        assert {r["plugin"] for r in found["results"]} == {"cml_ops_builtin.relu"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no_such_ops"], "PACKAGE='no_such_ops' is not possible: expected a module or package"),
        (["Relu", "--legs", "float,flight"], "legs='flight' is not possible: expected some of"),
    ],
)
def test_wrong_names(cli, arguments, told):
    assert told in cli("ops", "check", *arguments, status=1).err


@pytest.mark.usefixtures("packages")
def test_plugins_that_keep_each_other_from_serving(cli, packages):
    (packages / "pack_of_doubles" / "again.py").write_text(MODULE.format(factor=2, name="Double"))
    result = cli("ops", "check", "pack_of_doubles", "--legs", "float", status=1)
    told = "it provides test::Double-1, and so does"
    assert f"pack_of_doubles.again, loading: {told} 'pack_of_doubles.right'" in result.out
    assert f"pack_of_doubles.right, loading: {told} 'pack_of_doubles.again'" in result.out
    assert "overrides='pack_of_doubles.right'" in result.out
    assert result.err.endswith("error: 4 of 4 plugins failed.\n")


@pytest.mark.usefixtures("packages")
def test_an_override_tells_two_plugins_apart(cli, packages):
    text = MODULE.format(factor=2, name="Double")
    text = text.replace("examples=ex", "overrides='pack_of_doubles.right', examples=ex")
    (packages / "pack_of_doubles" / "again.py").write_text(text)
    result = cli("ops", "check", "pack_of_doubles", "--legs", "float", status=1)
    assert "and so does" not in result.out


def test_a_clash_with_what_is_installed_is_a_warning(cli, packages):
    text = MODULE.format(factor=2, name="Neg").replace('(1,), domain="test"', "(13,)")
    (packages / "pack_of_doubles" / "wrong.py").unlink()
    (packages / "pack_of_doubles" / "rotten.py").unlink()
    (packages / "pack_of_doubles" / "right.py").write_text(text)
    result = cli("ops", "check", "pack_of_doubles", "--legs", "float")
    assert result.err.startswith(
        "warning: plugins 'cml_ops_builtin.neg' and 'pack_of_doubles.right'"
    )
    assert "both provide ai.onnx::Neg-13" in result.err
