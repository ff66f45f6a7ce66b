"""Every operator that is installed goes through the conformance kit, example by example."""

from __future__ import annotations

import pytest

import cml_core as cml
from cml_core.fhe.backend import FheOptions, installed_backends
from cml_core.testing import check_example

CLEAR = ("float", "calibration", "integers", "saving")
CASES = [
    pytest.param(
        entry.plugin,
        example,
        id=f"{entry.name.rpartition('.')[2]}-{example.name.replace(' ', '_') or place}",
    )
    for entry in cml.default_registry()
    for place, example in enumerate(entry.plugin.examples)
]
QUANTIZED = [case for case in CASES if case.values[0].quantized_op is not None]


def failures(results):
    return [f"{result.leg}: {result.reason}" for result in results if result.status == "failed"]


@pytest.mark.parametrize(
    "entry", [pytest.param(e, id=e.name.rpartition(".")[2]) for e in cml.default_registry()]
)
def test_every_operator_has_examples_and_a_docstring(entry):
    import sys

    assert entry.plugin.examples
    assert sys.modules[entry.name].__doc__


@pytest.mark.parametrize(("plugin", "example"), CASES)
def test_in_the_clear(plugin, example):
    assert not failures(check_example(plugin, example, legs=CLEAR))


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize(("plugin", "example"), QUANTIZED)
def test_compiled_and_simulated(plugin, example, key_cache):
    options = FheOptions(key_cache=key_cache)
    assert not failures(check_example(plugin, example, legs=["simulation"], options=options))
