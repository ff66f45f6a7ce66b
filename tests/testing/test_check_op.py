"""check_op finds what is wrong with a plugin, and says where."""

import sys

import attrs
import numpy as np
import pytest

from cml_core.errors import ConfigError
from cml_core.fhe.mlir import read_widths
from cml_core.plugin_api import (
    UNKNOWN,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
)
from cml_core.program.instructions import Interval
from cml_core.testing import LEGS, ConformanceError, check_example, check_op
from cml_core.testing import legs as kit

X = np.float32([[1.0, -2.0, 3.0]])
CLEAR = ("float", "calibration", "integers", "widths", "saving")


def square(x):
    return (x * x,)


def plugin(**changes):
    example = OpExample((X,), outputs=(X * X,), name="three", lookups=3, max_bits=4)
    good = OpPlugin(
        OpSchema("Square", (1,), OpKind.ELEMENTWISE, domain="test"),
        square,
        ElementwiseQuantizedOp(square),
        examples=(example,),
    )
    of_example = {k: changes.pop(k) for k in list(changes) if hasattr(example, k)}
    return attrs.evolve(good, examples=(attrs.evolve(example, **of_example),), **changes)


def failure(changed, *, walked=CLEAR):
    with pytest.raises(ConformanceError) as caught:
        check_op(changed, legs=walked)
    assert (caught.value.operator, caught.value.example) == ("Square", "three")
    return caught.value.leg, caught.value.reason


def test_a_good_plugin_passes_every_leg_in_order():
    results = check_op(plugin(), legs=reversed(CLEAR))
    assert [(result.leg, result.status) for result in results] == [(leg, "passed") for leg in CLEAR]


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"lookups": 0}, "3 table lookups (3 of 4 bits), the example declares 0"),
        (
            {"max_bits": 3},
            "4 bits enter a table lookup (3 of 4 bits), the example declares at most",
        ),
        ({"lookups": 2, "max_bits": None}, "3 table lookups"),
    ],
)
def test_widths_are_as_declared(declared, told):
    leg, reason = failure(plugin(**declared))
    assert leg == "widths"
    assert told in reason


@pytest.mark.parametrize("bits", [0, 17])
def test_impossible_declarations_are_refused(bits):
    with pytest.raises(ValueError, match="max_bits"):
        OpExample((X,), max_bits=bits)
    with pytest.raises(ValueError, match="lookups"):
        OpExample((X,), lookups=-1)


def test_without_a_declaration_the_leg_is_skipped():
    results = check_op(plugin(lookups=None, max_bits=None), legs=["widths"])
    assert [result.reason for result in results] == ["the example declares no widths"]


def test_calibration_data_stays_as_it_was():
    def spoil(recorder, inputs, outputs, attributes):
        inputs[0][...] = 0

    leg, reason = failure(plugin(calibration_hook=spoil))
    assert leg == "calibration"
    assert "its calibration hook raised ValueError: assignment destination is read-only" in reason
    leg, reason = failure(plugin(calibration_hook=spoil), walked=["integers"])
    assert leg == "integers"
    assert "its calibration hook raised ValueError: assignment destination is read-only" in reason


def test_a_quantized_form_that_differs_shows_both():
    def cube(ctx, x):
        return (elementwise(ctx, lambda value: abs(value) ** 3, x),)

    leg, reason = failure(plugin(quantized_op=cube))
    assert leg == "integers"
    assert "the example allows 0.1\ngot       [[" in reason
    assert "\nexpected  [[1., 4., 9.]]" in reason


def test_after_a_failure_the_later_legs_are_skipped():
    changed = plugin(tolerance=0.0, n_bits=2)
    results = check_example(changed, changed.examples[0], legs=CLEAR)
    assert [result.status for result in results] == ["passed"] * 2 + ["failed"] + ["skipped"] * 2
    assert results[-1].reason == "integers failed"


@pytest.mark.parametrize("wrong", [["flight"], ["float", "flight"], []])
def test_unknown_legs_are_refused(wrong):
    with pytest.raises(ConfigError, match="float, calibration"):
        check_op(plugin(), legs=wrong)


def test_without_a_compiler_its_legs_are_skipped(monkeypatch):
    monkeypatch.setattr(kit, "installed_backends", lambda: ())
    results = check_op(plugin(), legs=["saving", "simulation", "encryption"])
    assert [r.reason for r in results] == ["", *["no FHE compiler is installed"] * 2]
    assert tuple(LEGS)[-2:] == ("simulation", "encryption")


MLIR = """
  func.func @circuit(%arg0: tensor<1x3x!FHE.eint<7>>) -> tensor<1x3x!FHE.esint<9>> {
    %1 = "FHELinalg.apply_lookup_table"(%0, %c) : (tensor<1x3x!FHE.eint<6>>, tensor<64xi64>) -> x
    %2 = "FHELinalg.apply_mapped_lookup_table"(%1, %c, %d) : (tensor<4x!FHE.esint<6>>, tensor<x>)
    %3 = "FHE.apply_lookup_table"(%2, %c) : (!FHE.eint<2>, tensor<4xi64>) -> !FHE.eint<4>
    %4 = "FHELinalg.round"(%3) : (tensor<1x3x!FHE.eint<8>>) -> tensor<1x3x!FHE.eint<6>>
"""


def test_widths_are_read_from_what_the_compiler_compiles():
    found = read_widths(MLIR)
    assert found.widest == 9
    assert found.lookups == {6: 7, 2: 1}


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_a_circuit_of_other_widths_is_noticed(monkeypatch):
    assert [r.status for r in check_op(plugin(), legs=["simulation"])] == ["passed"]
    monkeypatch.setattr("cml_core.fhe.tracing.declared_intervals", widened)
    leg, reason = failure(plugin(), walked=["simulation"])
    assert leg == "simulation"
    assert "bits" in reason


def widened(program):
    """Intervals a bit wider than the program's."""
    return [Interval(i.interval.low, 2 * i.interval.high + 1) for i in program.instructions]


def cause(changed, leg="float"):
    (result,) = check_example(changed, changed.examples[0], legs=[leg])
    assert result.status == "failed"
    return result.cause


@pytest.mark.parametrize("where", ["numpy_op", "calibration_hook", "quantized_op", "body"])
def test_a_way_out_of_the_program_is_a_failure(where):
    def leave(*arguments, **keywords):
        sys.exit(0)

    changed = plugin(**{where: leave, **({"quantized_op": None} if where == "body" else {})})
    results = check_example(changed, changed.examples[0], legs=CLEAR)
    failed = next(result for result in results if result.status == "failed")
    assert "SystemExit: 0" in failed.reason
    assert failed.cause.startswith("it calls sys.exit")


def test_a_preparation_that_differs_is_named():
    told = "what prepare returns differs from the float reference"
    assert told in cause(plugin(prepare=lambda x: lambda x: (x + 1,)))
    assert told in cause(plugin(prepare=lambda x: 5))
    assert told not in cause(plugin(prepare=lambda x: square, outputs=(X,)))


def test_a_preparation_from_constants_is_compared_too():
    def add(x, y):
        return (x + y,)

    def prepare(x, y):
        return None if y is UNKNOWN else lambda x, y: (x - y,)

    changed = plugin(
        schema=OpSchema("Square", (1,), domain="test"),
        numpy_op=add,
        quantized_op=None,
        prepare=prepare,
        inputs=(X, X),
        outputs=(X + X,),
    )
    assert "what prepare returns differs" in cause(changed)


@pytest.mark.parametrize("outputs", [X * X, X[0]])
def test_an_array_in_place_of_outputs_lacks_a_comma(outputs):
    assert "a comma makes it a tuple, outputs=(y,)" in cause(plugin(outputs=outputs))


def test_a_quantized_form_that_returns_clear_numbers_is_told_so():
    def peek(ctx, x):
        return (x.values(),)

    told = "the quantized form returns clear numbers, as x.values() are"
    assert told in cause(plugin(quantized_op=peek), leg="integers")


def test_a_body_of_itself_is_told():
    def body(writer, x):
        return (writer.add("Square", x, domain="test"),)

    told = "its body uses the operator that it is of"
    assert told in cause(plugin(quantized_op=None, body=body), leg="calibration")


@pytest.mark.parametrize("places", [(3,), (-1,), ("0",)])
def test_places_of_inputs_that_are_not_there_are_refused(places):
    with pytest.raises(ValueError, match="encrypted must be places among the example's 1 input"):
        OpExample((X,), encrypted=places)


def test_an_example_without_inputs_encrypts_nothing():
    constant = plugin(numpy_op=lambda: (X,), quantized_op=None, inputs=(), outputs=(X,))
    leg, reason = failure(constant)
    assert leg == "calibration"
    assert reason == "encrypted=(0,) is not possible: expected () in an example without inputs."
    assert [
        r.status
        for r in check_op(
            attrs.evolve(constant, examples=(attrs.evolve(constant.examples[0], encrypted=()),)),
            legs=["float", "calibration"],
        )
    ] == ["passed", "skipped"]
