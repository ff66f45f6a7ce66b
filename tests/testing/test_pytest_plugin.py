"""`pytest --cml-ops PACKAGE`: what it runs, and how it fails."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from cml_core.testing import legs
from cml_core.testing.selection import operators_of

pytest_plugins = ["pytester"]

PACKAGES = Path(__file__).parents[1] / "packages"
CLEAR = "--cml-legs=float,calibration,integers,saving"

#: A plugin module; the names in it are filled in below.
PLUGIN = """
import numpy as np
from cml_core.plugin_api import (
    ElementwiseQuantizedOp, OpExample, OpKind, OpPlugin, OpSchema, hookimpl
)

def double(x):
    {body}

@hookimpl
def cml_op():
    x = np.float32([[1.0, -2.0, 3.0]])
    return OpPlugin(
        OpSchema("Double", (1,), OpKind.ELEMENTWISE, domain=__name__),
        double,
        {quantized},
        examples=({examples}),
    )
"""
GOOD = {
    "body": "return (2 * x,)",
    "quantized": "ElementwiseQuantizedOp(double)",
    "examples": "OpExample((x,), outputs=(2 * x,), name='three numbers'),",
}


@pytest.fixture
def run(pytester):
    """Run pytest in a folder that packages of operators can be imported from."""
    # What is loaded by now is not loaded again for every test.
    cml.default_registry()
    shutil.copytree(PACKAGES / "good_ops" / "good_ops", pytester.path / "good_ops")
    pytester.syspathinsert()

    def start(*options):
        return pytester.runpytest_inprocess(*options)

    return start


@pytest.fixture
def write(pytester):
    """`write(module=changes)` makes a package `some_ops` of variants of one plugin."""

    def make(**modules):
        folder = pytester.mkpydir("some_ops")
        for name, changes in modules.items():
            text = changes if isinstance(changes, str) else PLUGIN.format(**{**GOOD, **changes})
            (folder / f"{name}.py").write_text(textwrap.dedent(text))

    return make


def test_it_runs_the_operators_and_nothing_else(run, pytester):
    pytester.makepyfile(test_other="def test(): raise ValueError")
    result = run("--cml-ops", "good_ops", CLEAR, "-v")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(
        [
            "cml: operators of good_ops; compiler: *",
            "good_ops.cube::example_0::float PASSED*",
            "good_ops.cube::example_0::saving PASSED*",
            "good_ops.cube::scaled::integers PASSED*",
        ]
    )


def test_files_that_are_named_are_run_as_well(run, pytester):
    pytester.makepyfile(test_other="def test(): pass", test_not_named="def test(): assert 0")
    run("--cml-ops", "good_ops", CLEAR, "test_other.py").assert_outcomes(passed=9)


def test_a_package_in_the_current_folder_is_found(pytester):
    shutil.copytree(PACKAGES / "good_ops" / "good_ops", pytester.path / "ops_of_this_folder")
    done = pytester.runpytest_subprocess("--cml-ops", "ops_of_this_folder", "--cml-legs", "float")
    done.assert_outcomes(passed=2)


def test_without_the_option_nothing_changes(run, pytester):
    pytester.makepyfile(test_other="def test(): pass")
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["cml_ops_builtin", "builtin", "cml", "cml_ops_builtin.relu"])
def test_packages_go_by_several_names(name):
    assert "cml_ops_builtin.relu" in {plugin.name for plugin in operators_of([name])}


def test_items_are_selected_by_name(run):
    operators = ("--cml-ops=cml_ops_builtin.relu", "--cml-ops=cml_ops_builtin.neg")
    result = run(*operators, "-k", "neg and floats and saving", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["cml_ops_builtin.neg::floats::saving PASSED*"])


def test_the_help_names_every_leg(run):
    text = " ".join(run("--help").stdout.str().split())
    assert ", ".join(legs.LEGS) in text


def test_several_packages_and_each_operator_once(run):
    options = ("--cml-ops=good_ops", "--cml-ops=good_ops.cube", "--cml-ops=cml_ops_builtin.relu")
    run(*options, "--cml-legs=float").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cml-ops=no_such_ops"], "*no_such_ops*is it installed*"),
        (["--cml-ops=not a name"], "*not a name*is it installed*"),
        (["--cml-ops=good_ops.sphere"], "*good_ops.sphere*is it installed*"),
        (["--cml-ops=json"], "*json*a package with operators*it has no cml_op()*"),
        (["--cml-ops=good_ops", "--cml-legs=float,flight"], "*flight*float, calibration, *"),
    ],
)
def test_wrong_names_are_usage_errors(run, options, told):
    result = run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {told}"])


def test_failures_name_the_example_and_the_leg_and_what_came_instead(run, write):
    write(
        wrong={"body": "return (2.5 * x,)"},
        careless={"quantized": "ElementwiseQuantizedOp(lambda x: (3 * x,))"},
        rude={"body": "x *= 2\n    return (x,)"},
        clumsy={"body": "return (x[5],)"},
        dear={"examples": "OpExample((x,), outputs=(2 * x,), lookups=0, max_bits=3),"},
        wasteful={
            "quantized": "ElementwiseQuantizedOp(lambda x: (abs(x),))",
            "examples": "OpExample((x,), outputs=(2 * x,), tolerance=9, lookups=0),",
        },
        bare={"examples": ""},
        broken="import no_such_library",
    )
    result = run("--cml-ops=some_ops", "--cml-legs=float,calibration,integers,widths")
    output = result.stdout.str()
    for line in (
        "_* Double, example 'three numbers', float _*",
        "output 0 is wrong",
        "got       ?? 2.5, -5. ,  7.5??",
        "expected  ?? 2., -4.,  6.??",
        "output0 is off by 0.300 of its range, the example allows 0.1",
        "the float reference changed its input input0",
        "node 'node' (Double) failed: index 5 is out of bounds*",
        "raised at *some_ops?clumsy.py:8, in double",
        "3 table lookups (3 of 4 bits), the example declares 0",
        "the plugin has no examples",
        "the plugin does not load: ModuleNotFoundError: No module named 'no_such_library'.*",
        "likely cause: every element is 1.25 times what is expected*",
        "raised at *some_ops?rude.py:8, in double",
        "FAILED some_ops.wrong::three_numbers::float - Failed: output 0 is wrong",
        "FAILED some_ops.broken::loading - *",
    ):
        result.stdout.fnmatch_lines([line])
    result.assert_outcomes(failed=7, passed=9, skipped=10)
    assert "Traceback" not in output
    assert "conformance.py" not in output


def test_the_full_trace_is_there_for_who_asks(run, write):
    write(clumsy={"body": "return (x[5],)"})
    result = run("--cml-ops=some_ops", "--full-trace", "--cml-legs=float")
    result.stdout.fnmatch_lines(["*IndexError*", "*conformance.py*"])


def test_legs_that_do_not_apply_are_skipped_with_the_reason(run, write, monkeypatch):
    monkeypatch.setattr(legs, "installed_backends", lambda: ())
    monkeypatch.setenv("CML_DISABLE_PLUGINS", "some_ops.blocked")
    write(
        plain={"quantized": "None"},
        quantized={},
        blocked={},
        clear={"examples": "OpExample((x,), outputs=(2 * x,), encrypted=()),"},
    )
    result = run("--cml-ops=some_ops", "-rs")
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED [[]5] *the plugin is float only",
            "SKIPPED [[]1] *the example declares no widths",
            "SKIPPED [[]2] *no FHE compiler is installed",
            "SKIPPED [[]1] *CML_DISABLE_PLUGINS blocks it",
            "SKIPPED [[]6] *the example encrypts nothing",
        ]
    )


def test_plugins_that_keep_each_other_from_serving(run, write):
    same = PLUGIN.format(**GOOD).replace("domain=__name__", 'domain="test"')
    write(one=same, two=same)
    result = run("--cml-ops=some_ops", "--cml-legs=float")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*'some_ops.one' and 'some_ops.two' both provide test::Double-1*"])


def test_it_shares_the_work_among_processes(run, pytester):
    pytest.importorskip("xdist")
    result = pytester.runpytest_subprocess("--cml-ops=good_ops", CLEAR, "-n2", "-p", "xdist")
    result.assert_outcomes(passed=8)


def test_what_pytest_always_loads_imports_nothing_of_weight():
    code = """
import sys, cml_core.testing.pytest_plugin
print(sorted({"numpy", "onnx", "attrs", "cml_core.api"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_every_leg_passes_with_a_compiler(run, pytester):
    if installed_backends()[0].name != "concrete-python":
        pytest.skip("other compilers take minutes to generate keys")
    result = pytester.runpytest_subprocess("--cml-ops=good_ops", "-k", "scaled", "-rA")
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(["PASSED good_ops.cube::scaled::encryption"])
