"""`cml ops new`: what it writes installs, is found, and passes its own tests as it stands."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys

import pytest

from cml_core.new_package import KINDS, NewOperator
from cml_core.plugins.op_checks import examine
from cml_core.plugins.registry import OpRegistry, default_registry
from cml_core.testing import check_op
from tests.environments import Environment, environment_with, wheels_of

pytest.importorskip("copier", reason="copier is not installed")

KIND_NAMES = [kind.value for kind in KINDS]
CLEAR = ["float", "calibration", "integers", "saving"]
OWN = ("--domain", "example.org")


# --- in an environment of its own ---


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    """An environment with cml's wheel."""
    return environment_with(tmp_path_factory, wheels_of(tmp_path_factory))


@pytest.mark.package
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_package_of_each_kind_works_as_it_is_written(environment, kind):
    options = (*OWN, "--kind", kind, "--json")
    written = environment.json("cml", "ops", "new", f"My{kind.title()}", *options, f"{kind}-ops")
    assert written["files"][0] == f"{kind}-ops/{kind}_ops/my_{kind}.py"
    environment.install(environment.folder / f"{kind}-ops")
    listed = environment.json("cml", "ops", "list", "--json")
    (row,) = [row for row in listed if row["op_type"] == f"My{kind.title()}"]
    assert (row["domain"], row["package"], row["kind"]) == ("example.org", f"{kind}-ops", kind)
    assert row["quantized"]
    legs = ("--legs", ",".join(CLEAR))
    checked = environment.json("cml", "ops", "check", f"{kind}_ops", *legs, "--json")
    assert (checked["passed"], checked["failed"]) == (8, 0)
    options = ("-q", "-p", "no:cacheprovider", "-W", "error", f"{kind}-ops")
    assert " passed" in environment.run("python", "-m", "pytest", *options).stdout


@pytest.mark.package
def test_further_operators_go_into_the_same_package(environment):
    new = ("cml", "ops", "new")
    environment.run(*new, "First", *OWN, "pair-of-ops")
    second = ("Second", *OWN, "--kind", "custom", "pair-of-ops")
    done = environment.run(*new, *second)
    assert done.stdout.startswith("wrote pair-of-ops/pair_of_ops/second.py")
    assert "pip install" not in done.stdout
    environment.install(environment.folder / "pair-of-ops")
    found = environment.json("cml", "ops", "check", "pair_of_ops", "--legs", "float", "--json")
    plugins = {result["plugin"] for result in found["results"]}
    assert plugins == {"pair_of_ops.first", "pair_of_ops.second"}
    done = environment.run(*new, *second, status=1)
    assert "second.py: is there already" in " ".join(done.stderr.split())


# --- in this process ---


def module_in(folder, package, name):
    """A module of a package that was written, imported from its file."""
    path = folder / package / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{package}.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_sample_of_each_kind_encrypts(cli, tmp_path, kind):
    cli("ops", "new", "Thing", *OWN, "--kind", kind, tmp_path / "thing-ops")
    plugin = module_in(tmp_path / "thing-ops", "thing_ops", "thing").cml_op()
    assert {r.status for r in check_op(plugin, legs=["encryption"])} == {"passed"}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_what_is_written_is_tidy(cli, tmp_path, kind):
    folder = tmp_path / "tidy-ops"
    cli("ops", "new", "AVeryLongNameOfAnOperator", *OWN, "--kind", kind, folder)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check", "--select", "E,F,W,UP,B,D100,D103"]):
        options = ["--isolated", "--line-length", "100"]
        done = subprocess.run([*ruff, *command, *options, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "kind", "parameters"),
    [
        ("Relu", "elementwise", ["x"]),
        ("Clip", "elementwise", ["x", "min", "max"]),
        ("ReduceMax", "custom", ["x", "axes"]),
        ("MatMul", "linear", ["x", "weight"]),
        ("Gemm", "linear", ["x", "weight", "c"]),
        ("Flatten", "movement", ["x"]),
        ("Sum", "elementwise", ["x"]),
        ("Conv", "custom", ["x", "w", "b"]),
    ],
)
def test_an_operator_that_onnx_knows_has_its_signature(cli, tmp_path, name, kind, parameters):
    done = cli("ops", "new", name, "--kind", kind, tmp_path / "own-ops")
    assert "It overrides plugin 'cml_ops_builtin." in done.out
    module = NewOperator.of(name, "", kind, default_registry()).module
    plugin = module_in(tmp_path / "own-ops", "own_ops", module).cml_op()
    assert examine("own_ops.own", plugin) == ()
    tree = ast.parse((tmp_path / "own-ops" / "own_ops" / f"{module}.py").read_text())
    function = next(f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == module)
    assert [a.arg for a in function.args.args][: len(parameters)] == parameters
    assert {r.status for r in check_op(plugin, legs=CLEAR)} == {"passed"}


def test_an_operator_that_nothing_provides_overrides_nothing():
    without = [p for p in default_registry().plugins if p.name != "cml_ops_builtin.relu"]
    operator = NewOperator.of("Relu", "ai.onnx", "elementwise", OpRegistry.from_plugins(without))
    assert operator.overrides == ""
    assert operator.since_versions[-1] == 14


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("Cube", "cube"),
        ("HardSwish", "hard_swish"),
        ("LSTMCell", "lstm_cell"),
        ("Abs", "abs_"),
        ("Yield", "yield_"),
        ("L2Norm", "l2_norm"),
    ],
)
def test_modules_have_names_in_snake_case(name, module):
    operator = NewOperator.of(name, "example.org", "custom", default_registry())
    assert operator.module == module


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Cube",), "an operator of ai.onnx, or --domain with a domain of your own"),
        (("2Cubes", *OWN), "letters, digits and _, such as HardSwish"),
        (("Cube", "--domain", "a b"), "a name such as org.example"),
        (("Cube", *OWN, "--kind", "cubic"), "elementwise or movement or linear or custom"),
        (("Relu", "--kind", "linear"), "there is no sample of kind linear for it"),
        (("StringConcat",), "there is no sample of kind elementwise for it"),
    ],
)
def test_what_cannot_be_begun_is_refused(cli, tmp_path, arguments, says):
    done = cli("ops", "new", *arguments, tmp_path / "my-ops", status=1)
    assert says in " ".join(done.err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("my ops", "a folder whose name is one for a distribution"),
        ("class", "a folder whose name is one for a distribution"),
        ("json", "there is a package 'json' already"),
        ("taken", "is there already, and is no package of operators"),
        ("torn", "a pyproject.toml that can be read"),
        ("file", "is there already"),
    ],
)
def test_folders_that_cannot_be_used_are_left_alone(cli, tmp_path, folder, says):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "pyproject.toml").write_text("[project")
    before = sorted(tmp_path.rglob("*"))
    done = cli("ops", "new", "Cube", *OWN, tmp_path / folder, status=1)
    assert says in " ".join(done.err.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(cli, tmp_path, monkeypatch):
    (tmp_path / "empty-ops").mkdir()
    monkeypatch.chdir(tmp_path / "empty-ops")
    cli("ops", "new", "Cube", *OWN, ".")
    assert (tmp_path / "empty-ops" / "empty_ops" / "cube.py").exists()
    shutil.move(tmp_path / "empty-ops" / "empty_ops", tmp_path / "empty-ops" / "src" / "empty_ops")
    cli("ops", "new", "Square", *OWN, ".")
    assert (tmp_path / "empty-ops" / "src" / "empty_ops" / "square.py").exists()


def test_without_copier_it_says_what_to_install(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "copier", None)
    done = cli("ops", "new", "Cube", *OWN, tmp_path / "my-ops", status=1)
    assert "pip install 'cml[new]'" in " ".join(done.err.split())
    assert list(tmp_path.iterdir()) == []
