"""The package in docs/examples/microsoft-ops, installed as a wheel beside cml's own."""

from __future__ import annotations

import shutil

import pytest

from tests.environments import ROOT, Environment, environment_with, wheels_of

pytestmark = pytest.mark.package

PACKAGE = ROOT / "docs" / "examples" / "microsoft-ops"
OPERATORS = {
    "Attention",
    "BiasAdd",
    "BiasGelu",
    "BiasSplitGelu",
    "CDist",
    "EmbedLayerNormalization",
    "FastGelu",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gelu",
    "MatMulNBits",
    "QuickGelu",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Trilu",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    """An environment with both wheels, and the package's tests."""
    made = environment_with(tmp_path_factory, wheels_of(tmp_path_factory, PACKAGE))
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE / "tests", made.folder / "tests", ignore=ignore)
    return made


def pytest_in(environment: Environment, *arguments: str) -> str:
    """What pytest prints in an environment, where everything passes."""
    command = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
    return environment.run(*command).stdout


def test_its_operators_are_listed(environment):
    listed = environment.json("cml", "ops", "list", "--json")
    rows = [row for row in listed if row["package"] == "cml-microsoft-ops"]
    assert {row["op_type"] for row in rows} == OPERATORS
    assert {row["domain"] for row in rows} == {"com.microsoft"}
    assert all(row["quantized"] for row in rows)


def test_it_passes_the_conformance_kit(environment):
    legs = "--cml-legs=float,calibration,integers,widths,saving"
    assert " passed" in pytest_in(environment, "--cml-ops", "cml_microsoft_ops", legs)


def test_it_agrees_with_onnxruntime(environment):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert " passed" in pytest_in(environment, "tests/test_onnxruntime.py")


def test_models_that_onnxruntime_optimized_give_the_same(environment):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert " passed" in pytest_in(environment, "tests/test_optimizer.py")


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_it_encrypts(environment):
    legs = "--cml-legs=simulation,encryption"
    options = ("--cml-ops", "cml_microsoft_ops", legs, "-k", "fused_conv and with_a_clear_sum")
    assert "2 passed" in pytest_in(environment, *options)
