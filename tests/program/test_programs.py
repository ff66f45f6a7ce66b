"""Instructions on random integers: executed, bounded, stored and costed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_core.program.cost import lookup_complexity, program_cost
from cml_core.program.execute import Overflow, execute
from cml_core.program.instructions import Instruction, Interval, Opcode, Program, bit_width
from cml_core.program.kernels import conv_nd
from cml_core.program.storage import program_from_parts, program_to_parts
from cml_core.quantization.builder import ProgramBuilder

SHAPE = (2, 3)


def integers(rng, *shape, low=-5, high=6):
    return rng.integers(low, high, size=shape)


def tables(rng):
    return {"tables": integers(rng, 2, 16), "index": integers(rng, *SHAPE, low=0, high=2)}


#: Instructions on inputs x, y of SHAPE in [0, 15], and what NumPy says they give.
CASES = {
    "add": lambda b, x, y, r: b.emit(Opcode.ADD, [x, y]),
    "add constant": lambda b, x, y, r: b.emit(
        Opcode.ADD, [x], constants={"operand": integers(r, *SHAPE)}
    ),
    "subtract": lambda b, x, y, r: b.emit(Opcode.SUBTRACT, [x, y]),
    "multiply": lambda b, x, y, r: b.emit(
        Opcode.MULTIPLY, [x], constants={"operand": integers(r, *SHAPE)}
    ),
    "matmul": lambda b, x, y, r: b.emit(
        Opcode.MATMUL, [x], constants={"weight": integers(r, 3, 4)}
    ),
    "sum": lambda b, x, y, r: b.emit(Opcode.SUM, [x], {"axes": (1,), "keepdims": True}),
    "lookup": lambda b, x, y, r: b.emit(Opcode.LOOKUP, [x], {"offset": 0, "shift": 0}, tables(r)),
    "round": lambda b, x, y, r: b.emit(Opcode.ROUND, [x], {"lsbs": 2}),
    "reshape": lambda b, x, y, r: b.emit(Opcode.RESHAPE, [x], shape=(3, 2)),
    "transpose": lambda b, x, y, r: b.emit(Opcode.TRANSPOSE, [x], {"perm": (1, 0)}),
    "slice": lambda b, x, y, r: b.emit(
        Opcode.SLICE, [x], {"starts": (0, 2), "stops": (2, None), "steps": (1, -2)}
    ),
    "gather": lambda b, x, y, r: b.emit(
        Opcode.GATHER,
        [b.emit(Opcode.RESHAPE, [x], shape=(6,))],
        constants={"index": np.array([[5, 0], [0, 3]])},
    ),
    "concat": lambda b, x, y, r: b.emit(Opcode.CONCAT, [x, y], {"axis": 1}),
    "broadcast": lambda b, x, y, r: b.emit(Opcode.BROADCAST, [x], shape=(4, *SHAPE)),
    "pad": lambda b, x, y, r: b.emit(Opcode.PAD, [x], {"before": (1, 0), "after": (0, 2)}),
}
EXPECTED = {
    "add": lambda x, y, c: x + y,
    "add constant": lambda x, y, c: x + c["operand"],
    "subtract": lambda x, y, c: x - y,
    "multiply": lambda x, y, c: x * c["operand"],
    "matmul": lambda x, y, c: x @ c["weight"],
    "sum": lambda x, y, c: x.sum(1, keepdims=True),
    "lookup": lambda x, y, c: c["tables"][c["index"], x],
    "round": lambda x, y, c: np.floor(x / 4 + 0.5).astype(int) * 4,
    "reshape": lambda x, y, c: x.reshape(3, 2),
    "transpose": lambda x, y, c: x.T,
    "slice": lambda x, y, c: x[:, ::-2],
    "gather": lambda x, y, c: x.ravel()[[[5, 0], [0, 3]]],
    "concat": lambda x, y, c: np.concatenate([x, y], 1),
    "broadcast": lambda x, y, c: np.broadcast_to(x, (4, *SHAPE)),
    "pad": lambda x, y, c: np.pad(x, ((1, 0), (0, 2))),
}


def build(case, seed, count=5):
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder(count, proven=True)
    x, y = (
        builder.input(name, integers(rng, count, *SHAPE, low=0, high=16), Interval(0, 15))
        for name in "xy"
    )
    result = CASES[case](builder, x, y, rng)
    return builder.program([result]), result


@pytest.mark.parametrize("case", CASES)
def test_each_instruction_computes_what_numpy_does_on_every_sample(case):
    program, _ = build(case, 0)
    constants = program.instructions[-1].constants
    rng = np.random.default_rng(1)
    x, y = (integers(rng, 7, *SHAPE, low=0, high=16) for _ in range(2))
    (result,) = execute(program, [x, y])
    assert result.shape[1:] == program.instructions[-1].shape
    for place in range(7):
        np.testing.assert_array_equal(result[place], EXPECTED[case](x[place], y[place], constants))


@pytest.mark.parametrize("case", CASES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_proven_bounds_hold_for_every_input(case, seed):
    program, register = build(case, seed)
    rng = np.random.default_rng(seed + 1)
    extremes = rng.choice([0, 15], size=(2, 50, *SHAPE))
    (result,) = execute(program, list(extremes))
    assert (result >= register.bounds.low).all()
    assert (result <= register.bounds.high).all()
    proven = program.instructions[-1].proven
    assert proven.low <= result.min() <= result.max() <= proven.high


@pytest.mark.parametrize("case", CASES)
def test_a_stored_program_computes_the_same(case):
    program, _ = build(case, 0)
    loaded = program_from_parts(program_to_parts(program))
    rng = np.random.default_rng(1)
    inputs = [integers(rng, 4, *SHAPE, low=0, high=16) for _ in range(2)]
    np.testing.assert_array_equal(execute(loaded, inputs), execute(program, inputs))
    assert [i.interval for i in loaded.instructions] == [i.interval for i in program.instructions]


def test_convolution_in_any_rank_equals_its_definition():
    rng = np.random.default_rng(0)
    x, w = integers(rng, 2, 4, 5, 6), integers(rng, 6, 2, 2, 3)
    got = conv_nd(x, w, strides=(2, 1), dilations=(1, 2), group=2, pads=(1, 0, 0, 1))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 1)))
    expected = np.zeros_like(got)
    for n, m, i, j in np.ndindex(expected.shape):
        channels = slice(0, 2) if m < 3 else slice(2, 4)
        window = padded[n, channels, 2 * i : 2 * i + 2, j : j + 5 : 2]
        expected[n, m, i, j] = (window * w[m]).sum()
    np.testing.assert_array_equal(got, expected)


def test_equal_instructions_are_emitted_once():
    builder = ProgramBuilder(3)
    x = builder.input("x", np.zeros((3, 2), dtype=int), Interval(0, 3))
    first = builder.emit(Opcode.ADD, [x], constants={"operand": np.array([1, 2])})
    again = builder.emit(Opcode.ADD, [x], constants={"operand": np.array([1, 2])})
    other = builder.emit(Opcode.ADD, [x], constants={"operand": np.array([1, 3])})
    assert again is first
    assert other is not first


def test_a_program_is_printed_one_instruction_in_a_line():
    byte, bit = Interval(-2, 7), Interval(0, 1)
    steps = (
        Instruction(Opcode.INPUT, (), (1, 3), byte, byte, {"name": "x"}, node="x"),
        Instruction(
            Opcode.MATMUL, (0,), (1, 2), bit, byte, constants={"weight": np.ones((3, 2), int)}
        ),
    )
    assert str(Program(steps, (1,))).splitlines() == [
        "%0 = input(name='x')              : [1, 3] in -2..7, 4 bits # x",
        "%1 = matmul(%0, weight=int[3, 2]) : [1, 2] in 0..1, 1 bits",
        "return %1",
    ]
    assert str(Program((), ())) == "return "


def test_what_no_output_needs_is_left_out_but_inputs_stay():
    builder = ProgramBuilder(3)
    x, y = (builder.input(n, np.zeros((3, 2), dtype=int), Interval(0, 3)) for n in "xy")
    builder.emit(Opcode.ADD, [x, y])
    result = builder.emit(Opcode.ADD, [x], constants={"operand": np.array([1, 2])})
    program = builder.program([result])
    assert [i.opcode for i in program.instructions] == [Opcode.INPUT, Opcode.INPUT, Opcode.ADD]


def test_products_too_large_for_float64_stay_exact():
    weight = np.array([[2**31], [2**31 + 1]])
    unknown = Interval(0, 2**30)
    program = Program(
        (
            Instruction(Opcode.INPUT, (), (2,), unknown, unknown, {"name": "x"}),
            Instruction(Opcode.MATMUL, (0,), (1,), unknown, unknown, constants={"weight": weight}),
        ),
        (1,),
    )
    x = np.array([[2**30 - 1, 2**30 - 3]])
    assert execute(program, [x])[0][0, 0] == (2**30 - 1) * 2**31 + (2**30 - 3) * (2**31 + 1)


def test_leaving_the_interval_before_a_lookup_or_at_an_output_is_noted():
    three = Interval(0, 3)
    lookup = Instruction(
        Opcode.LOOKUP,
        (0,),
        (2,),
        three,
        three,
        {"offset": 0, "shift": 0},
        {"tables": np.array([[3, 2, 1, 0]])},
        node="f",
    )
    program = Program((Instruction(Opcode.INPUT, (), (2,), three, three), lookup), (1,))
    overflows: list[Overflow] = []
    (result,) = execute(program, [np.array([[0, 1], [4, -1], [9, 9]])], overflows)
    np.testing.assert_array_equal(result, [[3, 2], [0, 3], [0, 0]])
    assert overflows == [Overflow("f", (1, 2), 0, 3)]


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [(0, 0, 1), (0, 1, 1), (0, 255, 8), (0, 256, 9), (-1, 0, 1), (-1, 1, 2), (-128, 127, 8)],
)
def test_bit_widths(low, high, width):
    assert bit_width(low, high) == width


def test_cost_grows_with_width_and_number_of_lookups():
    # From 11 bits on Concrete bootstraps in another way, which begins cheaper than 10 bits.
    for widths in (range(1, 11), range(11, 16)):
        costs = [lookup_complexity(width) for width in widths]
        assert costs == sorted(costs)
    demands = [lookup_complexity(4, demand) for demand in range(30)]
    assert demands == sorted(demands)
    assert demands[-1] > demands[0]
    program, _ = build("lookup", 0)
    (cost,) = program_cost(program).values()
    assert cost.lookups == {4: 6}
    assert cost.complexity == pytest.approx(6 * lookup_complexity(4, 0.0))
