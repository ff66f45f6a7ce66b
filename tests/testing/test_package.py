"""The conformance kit on whole plugins, and what of it is encrypted for real."""

import attrs
import numpy as np
import pytest

from cml_core.errors import ConfigError
from cml_core.fhe.backend import installed_backends
from cml_core.plugin_api import ElementwiseQuantizedOp, OpExample, OpKind, OpPlugin, OpSchema
from cml_core.plugins.loading import LoadedPlugin
from cml_core.testing import budget, legs, package
from cml_core.testing.package import check_plugin
from cml_core.testing.selection import operators_of
from cml_core.testing.trial import Trial

X = np.float32([[1.0, -2.0, 3.0]])
CLEAR = ("float", "calibration", "integers", "saving")


def square(x):
    return (x * x,)


def plugin(*examples, **changes):
    made = OpPlugin(
        OpSchema("Square", (1,), OpKind.ELEMENTWISE, domain="test"),
        square,
        ElementwiseQuantizedOp(square),
        examples=examples or (OpExample((X,), outputs=(X * X,), name="three"),),
    )
    return LoadedPlugin("tests.square", provides=attrs.evolve(made, **changes))


def test_every_example_goes_along_every_leg_and_is_counted():
    said = []
    two = (OpExample((X,), outputs=(X * X,)), OpExample((X,), outputs=(X + X,)))
    check = check_plugin(plugin(*two), legs=CLEAR, advance=lambda *done: said.append(done))
    assert (check.plugin, check.operator, check.failed) == ("tests.square", "Square", True)
    states = [(r.example, r.status) for r in check.results]
    assert states == [
        *[("example 0", "passed")] * 4,
        ("example 1", "failed"),
        *[("example 1", "skipped")] * 3,
    ]
    assert said == [(1, 2), (2, 2)]


def test_the_first_difference_comes_with_its_likely_cause():
    check = check_plugin(
        plugin(OpExample((X,), outputs=(2 * X * X,), name="twice")), legs=["float"]
    )
    (result,) = check.results
    assert (result.example, result.leg) == ("twice", "float")
    assert (result.got, result.expected) == ("[[1., 4., 9.]]", "[[ 2.,  8., 18.]]")
    assert result.cause.startswith("every element is 0.5 times what is expected")
    wide = plugin(numpy_op=lambda x: (x.astype(np.float64) ** 2,))
    (result,) = check_plugin(wide, legs=["float"]).results
    assert (result.got, result.expected) == ("float64[1, 3]", "float32[1, 3]")


def rude(x):
    x *= x
    return (x,)


@pytest.mark.parametrize("leg", ["float", "calibration"])
def test_it_shows_where_an_input_is_written_to(leg):
    (result,) = check_plugin(plugin(numpy_op=rude), legs=[leg]).results
    assert result.status == "failed"
    assert ("changed its" if leg == "float" else "read-only") in result.reason
    assert "writes into an array that it was given" in result.cause
    assert result.place.startswith(__file__)
    assert result.place.endswith("in rude")


def test_a_body_may_write_operators_of_the_same_package():
    def body(writer, x):
        return (writer.add("Square", x, domain="test"),)

    schema = OpSchema("Squared", (1,), OpKind.ELEMENTWISE, domain="test")
    written = plugin(schema=schema, quantized_op=None, body=body)
    failed = check_plugin(written, legs=["integers"]).results[0]
    assert "its body, or a graph of the example, has operators" in failed.cause
    others = (attrs.evolve(plugin(), name="tests.other"),)
    assert not check_plugin(written, legs=["integers"], others=others).failed


def test_plugins_that_did_not_load_or_have_no_examples():
    failed = LoadedPlugin("odd", status="failed", error="ImportError: no x", hint="Install x.")
    (result,) = check_plugin(failed).results
    assert (result.leg, result.status) == ("loading", "failed")
    assert result.reason == "the plugin does not load: ImportError: no x"
    assert result.cause == "Install x."
    (result,) = check_plugin(LoadedPlugin("odd", status="blocked")).results
    assert (result.leg, result.status) == ("loading", "skipped")
    bare = attrs.evolve(plugin(), provides=attrs.evolve(plugin().provides, examples=()))
    (result,) = check_plugin(bare, legs=["integers"]).results
    assert (result.leg, result.status) == ("integers", "failed")
    assert "examples=(OpExample(" in result.cause


# --- the budget ---


def trials(*examples):
    made = plugin(*examples).provides
    return [Trial(made, example) for example in made.examples]


def test_complexities_are_of_what_can_be_encrypted():
    wrong = OpExample((np.array(["a"]),), outputs=(X,))
    clear = OpExample((X,), outputs=(X * X,), encrypted=())
    small, large = (OpExample((X,), outputs=(X * X,), n_bits=n) for n in (2, 5))
    found = budget.complexities(trials(wrong, clear, small, large))
    assert list(found) == [2, 3]
    assert found[2] < found[3]


def test_what_is_dear_is_not_encrypted_unless_it_is_the_cheapest(monkeypatch):
    monkeypatch.setattr(budget, "installed_backends", lambda: ())
    assert budget.too_dear(None, 0.0) == ""
    assert budget.too_dear(4e8, 1e8) == ""
    assert budget.too_dear(2e9, 2e9) == "", "the cheapest"
    assert "2.0e+09 is beyond the budget of 5e+08" in budget.too_dear(2e9, 1e8)
    assert "is beyond the budget of 3e+09" in budget.too_dear(9e9, 9e9), "however cheap the others"
    slow = type("Slow", (), {"name": "slow-compiler"})
    monkeypatch.setattr(budget, "installed_backends", lambda: (slow,))
    assert budget.too_dear(1e8, 1e8) == "slow-compiler takes minutes to generate keys"


def test_the_budget_is_kept(monkeypatch):
    walked = []

    def check(trial, leg, package):
        walked.append((trial.label, leg))
        return package_check(trial, "float", package)

    package_check = package.check_trial
    monkeypatch.setattr(package, "check_trial", check)
    monkeypatch.setattr(legs, "installed_backends", lambda: (object(),))
    monkeypatch.setattr(budget, "installed_backends", lambda: ())
    monkeypatch.setattr(budget, "BUDGET", 0.0)
    cheap, dear = (
        OpExample((X,), outputs=(X * X,), n_bits=n, name=name)
        for n, name in ((2, "cheap"), (5, "dear"))
    )
    check = check_plugin(plugin(dear, cheap), legs=["encryption"])
    assert walked == [("cheap", "encryption")]
    assert [r.status for r in check.results] == ["skipped", "passed"]
    assert "beyond the budget" in check.results[0].reason


# --- names ---


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Relu", {"cml_ops_builtin.relu"}),
        ("sigmoid", {"cml_ops_builtin.sigmoid"}),
        ("cml_ops_builtin.relu", {"cml_ops_builtin.relu"}),
        ("builtin.relu", {"cml_ops_builtin.relu"}),
    ],
)
def test_operators_go_by_parts_of_their_names(name, found):
    assert {p.name for p in operators_of([name], parts=True)} == found


def test_a_part_of_several_names_stands_for_all_of_them():
    found = {p.name for p in operators_of(["string"], parts=True)}
    assert "cml_ops_builtin.string_concat" in found, "and not Python's module string"
    assert all("string" in name for name in found)


def test_names_of_nothing():
    with pytest.raises(ConfigError, match="PACKAGE='no_such_thing'"):
        operators_of(["no_such_thing"], argument="PACKAGE", parts=True)
    with pytest.raises(ConfigError):
        operators_of(["Relu"])


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_with_a_compiler_every_leg_is_walked():
    assert installed_backends()
    check = check_plugin(
        plugin(OpExample((X,), outputs=(X * X,), n_bits=3, tolerance=0.3, lookups=3))
    )
    assert [r.status for r in check.results] == ["passed"] * 7
