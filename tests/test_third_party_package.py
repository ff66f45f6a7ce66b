"""Plugins of third parties, installed as wheels beside cml's own wheel in a fresh environment."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from cml_core.new_package import TEMPLATE
from tests.environments import ROOT, Environment, environment_with, wheels_of

pytestmark = pytest.mark.package

PACKAGES = Path(__file__).parent / "packages"
#: A network with the third party's operator between two dense layers.
CUBE_NET = """
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
weights = [
    numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
    for name, shape in (("v", (4, 3)), ("w", (3, 2)))
]
nodes = [
    helper.make_node("Gemm", ["x", "v"], ["a"], name="first"),
    helper.make_node("Cube", ["a"], ["b"], name="cube", domain="example.org", scale=0.5),
    helper.make_node("Gemm", ["b", "w"], ["y"], name="second"),
]
value = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes, "net", [value("x", TensorProto.FLOAT, ["batch", 4])],
    [value("y", TensorProto.FLOAT, ["batch", 2])], weights,
)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.org", 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
x = rng.uniform(-1, 1, size=(200, 4)).astype(np.float32)
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> list[Path]:
    """Wheels of cml and of both packages."""
    return wheels_of(tmp_path_factory, PACKAGES / "good_ops", PACKAGES / "broken_ops")


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory) -> Environment:
    """An environment with the three of them."""
    return environment_with(tmp_path_factory, wheels)


def test_the_wheel_holds_the_packages_and_nothing_else(wheels):
    (wheel,) = (wheel for wheel in wheels if wheel.name.startswith("cml-"))
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    folders = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert folders == {"cml_core", "cml_ops_builtin", "cml_ops_contrib", "cml_frontends"}
    assert {f"{folder}/py.typed" for folder in folders} <= set(names)
    template = {str(f.relative_to(ROOT)) for f in TEMPLATE.rglob("*") if f.is_file()}
    assert template <= set(names), "what `cml ops new` writes from"
    assert any(name.endswith(("licenses/LICENSE", "dist-info/LICENSE")) for name in names)


def test_the_installed_wheels_are_what_runs(environment):
    code = """
import json, cml_core, cml_ops_builtin, good_ops, numpy
print(json.dumps([m.__file__ for m in (cml_core, cml_ops_builtin, good_ops, numpy)]))
"""
    *own, numpy = environment.python(code)
    assert all(Path(file).is_relative_to(environment.folder) for file in own)
    assert not Path(numpy).is_relative_to(environment.folder)


def test_the_operator_is_listed_like_any_other(environment):
    listed = environment.json("cml", "ops", "list", "--json")
    (cube,) = [row for row in listed if row["op_type"] == "Cube"]
    assert cube == {
        "domain": "example.org",
        "op_type": "Cube",
        "since_versions": [1],
        "plugin": "good_ops.cube",
        "package": "cml-good-ops",
        "float": True,
        "quantized": True,
        "kind": "elementwise",
        "restrictions": "",
    }
    (relu,) = [row for row in listed if row["op_type"] == "Relu"]
    assert set(relu) == set(cube)
    assert "Cube" in environment.run("cml", "ops", "show", "Cube").stdout


def test_the_broken_package_is_listed_with_its_error_and_everything_else_is_loaded(environment):
    listed = {row["name"]: row for row in environment.json("cml", "plugins", "list", "--json")}
    broken = listed.pop("broken_ops")
    assert broken["status"] == "failed"
    assert broken["error"] == "ImportError: libbroken.so is not installed"
    assert (broken["distribution"], broken["version"]) == ("cml-broken-ops", "0.3")
    assert {row["status"] for row in listed.values()} == {"loaded"}
    assert {"good_ops.cube", "cml_ops_builtin.relu", "cml_core.fhe.concrete_python"} <= set(listed)


def test_the_broken_package_is_named_in_one_warning(environment):
    done = environment.run("cml", "ops", "list", "--json")
    assert done.stderr.count("broken_ops") == 1
    assert "Traceback" not in done.stderr


def test_strictness_makes_the_broken_package_fatal(environment):
    done = environment.run("cml", "ops", "list", status=1, CML_STRICT_PLUGINS="1")
    assert "broken_ops" in done.stderr
    assert "libbroken.so is not installed" in " ".join(done.stderr.split())
    done = environment.run("cml", "plugins", "list", "--strict", status=1)
    assert "broken_ops" in done.stderr


@pytest.mark.parametrize("name", ["broken_ops", "cml-broken-ops"])
def test_a_blocked_package_is_not_even_imported(environment, name):
    done = environment.run(
        "cml", "plugins", "list", "--json", CML_DISABLE_PLUGINS=name, CML_STRICT_PLUGINS="1"
    )
    assert done.stderr == ""
    status = {row["name"]: row["status"] for row in json.loads(done.stdout)}
    assert status["broken_ops"] == "blocked"
    assert status["good_ops.cube"] == "loaded"


def test_a_model_with_the_operator_runs_quantizes_and_stays_close(environment):
    code = f"""{CUBE_NET}
import json, warnings
import cml_core as cml

warnings.simplefilter("ignore")
module = cml.NumpyModule.from_onnx(model)
y = module(x)
stats = cml.calibrate(module, x)
quantized = cml.quantize(module, stats, n_bits=6)
by_hand = (0.5 * (x @ numpy_helper.to_array(weights[0])) ** 3) @ numpy_helper.to_array(weights[1])
print(json.dumps({{
    "float": float(abs(y - by_hand).max()),
    "integers": float(abs(quantized(x) - y).max() / (y.max() - y.min())),
    "lookups": quantized.report().lookups,
    "notes": sorted(stats.notes["cube"]),
}}))
"""
    found = environment.python(code)
    assert found["float"] < 1e-5
    assert found["integers"] < 0.1
    assert found["lookups"] == 3
    assert found["notes"] == ["largest"]


def test_the_operator_passes_the_conformance_kit(environment):
    code = """
import json, warnings
warnings.simplefilter("ignore")
from good_ops.cube import cml_op
from cml_core.testing import check_op

legs = ["float", "calibration", "integers", "saving"]
print(json.dumps([result.status for result in check_op(cml_op(), legs=legs)]))
"""
    assert environment.python(code) == ["passed"] * 8


def test_pytest_runs_the_conformance_kit_on_the_package(environment):
    legs = "--cml-legs=float,calibration,integers,saving"
    command = ("python", "-m", "pytest", "--cml-ops", "good_ops", legs, "-v")
    done = environment.run(*command, "-p", "no:cacheprovider")
    assert "8 passed" in done.stdout
    assert "good_ops.cube::scaled::integers PASSED" in done.stdout
    done = environment.run("python", "-m", "pytest", "--cml-ops", "broken_ops", status=4)
    assert "broken_ops: ImportError: libbroken.so is not installed" in done.stderr


def test_the_command_line_checks_the_package_by_any_of_its_names(environment):
    for name in ("good_ops", "cml-good-ops", "good_ops.cube", "Cube"):
        found = environment.json("cml", "ops", "check", name, "--legs", "float,integers", "--json")
        assert (found["passed"], found["skipped"], found["failed"]) == (4, 0, 0)
    done = environment.run("cml", "ops", "check", "broken_ops", status=1)
    assert "the plugin does not load: ImportError: libbroken.so is not installed" in done.stdout


def test_everything_about_each_package_is_shown(environment):
    shown = environment.json("cml", "plugins", "show", "cml-good-ops", "--json")
    assert (shown["name"], shown["api"], shown["status"]) == ("good_ops.cube", "1.0", "loaded")
    text = environment.run("cml", "plugins", "show", "broken_ops").stdout
    assert "cml-broken-ops 0.3" in text
    assert 'raise ImportError("libbroken.so is not installed")' in text, "the traceback"


def test_without_the_package_its_model_is_refused_and_the_broken_plugin_is_quoted(environment):
    code = f"""{CUBE_NET}
import json, warnings
warnings.simplefilter("ignore")
import cml_core as cml
from cml_core.errors import UnsupportedNodesError

try:
    cml.NumpyModule.from_onnx(model)
except UnsupportedNodesError as error:
    print(json.dumps([[n.node, n.operator, n.reason, n.hint] for n in error.nodes]))
"""
    ((node, operator, reason, hint),) = environment.python(code, CML_DISABLE_PLUGINS="cml-good-ops")
    assert (node, operator) == ("cube", "example.org.Cube")
    assert reason == "no plugin provides Cube"
    assert "Plugin 'broken_ops' failed to load (ImportError: libbroken.so" in hint
    assert "Plugin 'good_ops' is blocked." in hint
