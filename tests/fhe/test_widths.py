import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import BackendUnavailableError, BitWidthError, ConfigError
from cml_core.fhe.backend import FheOptions, choose_backend
from cml_core.fhe.widths import check_widths, circuit_width, declared_intervals
from cml_core.program.instructions import Interval, Opcode
from cml_core.quantization.builder import ProgramBuilder
from tests.networks import mlp, samples


def quantized(**options):
    module = cml.NumpyModule.from_onnx(mlp([16, 8, 4]))
    return cml.quantize(module, samples([16]), cml.QuantConfig.with_bits(8, **options))


def test_lookups_that_are_too_wide_are_refused_by_name_with_what_would_help():
    program = quantized(rounding_bits=None).program
    with pytest.raises(BitWidthError) as caught:
        check_widths(program, "some compiler", 12, 16)
    (wide,) = caught.value.lookups
    assert wide.node == "relu1"
    assert wide.width > 12
    for word in ("relu1", "n_bits", "rounding_bits", "some compiler"):
        assert word in str(caught.value)


def test_results_that_are_too_wide_are_refused_by_name():
    program = quantized().program
    check_widths(program, "some compiler", 16, 40)
    with pytest.raises(BitWidthError, match="gives a result of"):
        check_widths(program, "some compiler", 16, 10)


def test_an_intermediate_value_does_not_widen_what_it_is_connected_to():
    builder = ProgramBuilder(4, proven=True)
    x = builder.input("x", np.zeros((4, 1), dtype=int), Interval(0, 3))
    wide = builder.emit(Opcode.MULTIPLY, [x], constants={"operand": np.array([-5])})
    moved = builder.emit(
        Opcode.ADD, [wide], constants={"operand": np.array([15])}, interval=Interval(0, 15)
    )
    result = builder.emit(
        Opcode.LOOKUP, [moved], {"offset": 0, "shift": 0}, {"tables": np.array([range(16)])}
    )
    program = builder.program([result])
    assert [i.interval.width for i in program.instructions] == [2, 5, 4, 4]
    assert [i.width for i in declared_intervals(program)] == [2, 4, 4, 4]


@pytest.mark.parametrize(("operand", "widths"), [(-9, (4, 4)), (9, (4, 4)), (-40, (4, 6))])
def test_a_constant_widens_a_circuit_by_its_size_and_not_by_its_sign(operand, widths):
    builder = ProgramBuilder(4, proven=True)
    x = builder.input("x", np.zeros((4, 1), dtype=int), Interval(0, 15))
    constants = {"operand": np.array([operand])}
    moved = builder.emit(Opcode.ADD, [x], constants=constants, interval=Interval(0, 15))
    assert circuit_width(builder.program([moved])) == widths


@pytest.mark.parametrize(
    "option",
    [{"p_error": 0.0}, {"p_error": 2}, {"global_p_error": 1.5}, {"rounding": "sloppy"}],
)
def test_impossible_options_are_refused_by_name(option):
    with pytest.raises(ConfigError) as caught:
        FheOptions(**option)
    assert caught.value.argument in option


def test_an_unknown_option_or_compiler_is_refused():
    with pytest.raises(ConfigError, match="speed"):
        quantized().compile(speed="high")
    with pytest.raises(BackendUnavailableError, match="concrete-numpy, concrete-python"):
        choose_backend("no such compiler")
