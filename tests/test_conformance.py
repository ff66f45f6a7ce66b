"""Every operator that is installed goes through the conformance kit, example by example."""

from __future__ import annotations

import functools
import sys

import pytest

import cml_core as cml
from cml_core.fhe.backend import FheOptions, installed_backends
from cml_core.testing import check_example
from cml_core.testing.budget import MOST, complexities, too_dear
from cml_core.testing.trial import Trial

CLEAR = ("float", "calibration", "integers", "widths", "saving")
#: Quantized operators whose results never depend on encrypted values, so there is no circuit.
OF_SHAPES = {"eye_like", "shape", "size"}

PLUGINS = [
    pytest.param(entry, id=entry.name.rpartition(".")[2]) for entry in cml.default_registry()
]
CASES = [
    pytest.param(
        entry.plugin,
        example,
        id=f"{entry.name.rpartition('.')[2]}-{example.name.replace(' ', '_') or place}",
    )
    for entry in cml.default_registry()
    for place, example in enumerate(entry.plugin.examples)
]
QUANTIZED = [case for case in CASES if case.values[0].quantized]


def expect_none_failed(results):
    for result in results:
        if result.status == "failed":
            pytest.fail(f"{result.leg}: {result.reason}", pytrace=False)


@functools.cache
def costs(plugin):
    """Predicted complexity of those examples that have something to encrypt, by place."""
    return complexities([Trial(plugin, example) for example in plugin.examples])


@pytest.mark.parametrize("entry", PLUGINS)
def test_every_operator_has_examples_and_a_docstring(entry):
    assert entry.plugin.examples
    assert sys.modules[entry.name].__doc__


@pytest.mark.parametrize("entry", [p for p in PLUGINS if p.values[0].plugin.quantized])
def test_every_quantized_operator_has_a_small_example_to_encrypt(entry):
    found = costs(entry.plugin).values()
    if entry.name.rpartition(".")[2] in OF_SHAPES:
        assert not found
    else:
        assert min(found) <= MOST


@pytest.mark.parametrize(("plugin", "example"), CASES)
def test_in_the_clear(plugin, example):
    expect_none_failed(check_example(plugin, example, legs=CLEAR))


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize(("plugin", "example"), QUANTIZED)
def test_compiled_and_encrypted(plugin, example, key_cache):
    known = costs(plugin)
    cost = known.get(plugin.examples.index(example))
    dear = too_dear(cost, min(known.values(), default=0.0))
    legs = ["simulation"] if cost is None or dear else ["simulation", "encryption"]
    options = FheOptions(key_cache=key_cache)
    expect_none_failed(check_example(plugin, example, legs=legs, options=options))
    if "minutes" in dear:
        pytest.skip(f"simulated only: {dear}")
