"""Fast execution against a plain one, on random programs."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_core.program.execute import Overflow, execute
from cml_core.program.fusing import fuse_lookup, fuse_product
from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.program.plan import make_plan
from cml_core.program.rules import exact_dtype, program_reach
from cml_core.quantization.builder import ProgramBuilder


def rounded(x, step):
    """To the nearest multiple, halves up."""
    return (x + step // 2) // step * step


def convolved(x, w, strides, dilations, group):
    """Over one spatial axis."""
    (stride,), (dilation,) = strides, dilations
    span = (w.shape[2] - 1) * dilation + 1
    out = np.zeros((1, len(w), (x.shape[2] - span) // stride + 1), dtype=np.int64)
    for m, place in np.ndindex(*out.shape[1:]):
        first = m // (len(w) // group) * w.shape[1]
        for c, k in np.ndindex(*w.shape[1:]):
            out[0, m, place] += x[0, first + c, place * stride + k * dilation] * w[m, c, k]
    return out


#: What an instruction makes of one sample: its inputs, constants and attributes.
PLAIN = {
    Opcode.ADD: lambda i, x, c, a: x[0] + (x[1] if len(x) > 1 else c["operand"]),
    Opcode.SUBTRACT: lambda i, x, c, a: x[0] - x[1],
    Opcode.MULTIPLY: lambda i, x, c, a: x[0] * c["operand"],
    Opcode.MATMUL: lambda i, x, c, a: x[0] @ c["weight"],
    Opcode.CONV: lambda i, x, c, a: convolved(x[0], c["weight"], **a),
    Opcode.SUM: lambda i, x, c, a: x[0].sum(axis=a["axes"], keepdims=a["keepdims"]),
    Opcode.ROUND: lambda i, x, c, a: rounded(x[0], 2 ** a["lsbs"]),
    Opcode.LOOKUP: lambda i, x, c, a: c["tables"][
        c.get("index", np.zeros(i.shape, dtype=int)),
        ((x[0] - a["offset"]) // 2 ** a["shift"]).clip(0, c["tables"].shape[1] - 1),
    ],
    Opcode.RESHAPE: lambda i, x, c, a: x[0].reshape(i.shape),
    Opcode.TRANSPOSE: lambda i, x, c, a: x[0].transpose(a["perm"]),
    Opcode.SLICE: lambda i, x, c, a: x[0][tuple(map(slice, a["starts"], a["stops"], a["steps"]))],
    Opcode.GATHER: lambda i, x, c, a: x[0].ravel()[c["index"]],
    Opcode.CONCAT: lambda i, x, c, a: np.concatenate(x, axis=a["axis"]),
    Opcode.BROADCAST: lambda i, x, c, a: np.broadcast_to(x[0], i.shape),
    Opcode.PAD: lambda i, x, c, a: np.pad(x[0], list(zip(a["before"], a["after"], strict=True))),
}  # fmt: skip


def plainly(program, inputs):
    """Each sample on its own, each instruction on int64; and who left which interval."""
    outputs, left = [], {}
    for sample in zip(*inputs, strict=True):
        values, feeds = [], iter(sample)
        for place, i in enumerate(program.instructions):
            x = [values[source] for source in i.inputs]
            if i.opcode is Opcode.LOOKUP:
                entering = program.instructions[i.inputs[0]]
                left.setdefault((place, entering), []).append(beyond(entering, x[0]))
            values.append(
                next(feeds) if i.opcode is Opcode.INPUT
                else PLAIN[i.opcode](i, x, i.constants, dict(i.attributes))
            )  # fmt: skip
        for place in set(program.outputs):
            i = program.instructions[place]
            left.setdefault((place, i), []).append(beyond(i, values[place]))
        outputs.append([values[place] for place in program.outputs])
    overflows = [
        Overflow(
            program.instructions[place].node,
            tuple(np.flatnonzero(found).tolist()),
            i.interval.low,
            i.interval.high,
        )
        for (place, i), found in left.items()
        if sum(found)
    ]
    return [np.stack(column) for column in zip(*outputs, strict=True)], overflows


def beyond(instruction, values):
    low, high = instruction.interval.low, instruction.interval.high
    return bool(((values < low) | (values > high)).any())


def random_program(seed: int, length: int = 8, large: bool = False) -> Program:
    """A chain with branches on inputs in [0, 15]; calibrated on few samples, so easily left."""
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder(4)
    bound = 2 ** int(rng.integers(3, 34)) if large else 4

    def integers(*shape):
        return rng.integers(-bound, bound + 1, size=shape)

    shape = (int(rng.integers(1, 4)), int(rng.integers(2, 6)))
    registers = [
        builder.input(name, rng.integers(4, 12, size=(4, *shape)), Interval(0, 15)) for name in "xy"
    ]

    def emit(opcode, x, attributes=None, constants=None, **options):
        builder.node = f"n{len(builder)}"
        return builder.emit(opcode, [x], attributes, constants, **options)

    def look_up(x):
        low, high = x.interval.low, x.interval.high
        shift = max(0, int(high - low).bit_length() - int(rng.integers(3, 7)))
        entries = ((high - low) >> shift) + 1
        rows = int(rng.integers(1, 4))
        constants = {"tables": rng.integers(-8, 9, size=(rows, entries))}
        if rows > 1:
            constants["index"] = rng.integers(0, rows, size=x.shape)
        return emit(Opcode.LOOKUP, x, {"offset": low, "shift": shift}, constants)

    def combine(opcode, attributes=None):
        def rule(x):
            fitting = [r for r in registers if r.shape == x.shape]
            other = fitting[int(rng.integers(len(fitting)))]
            builder.node = f"n{len(builder)}"
            return builder.emit(opcode, [x, other], attributes)

        return rule

    def conv(x):
        image = emit(Opcode.RESHAPE, x, shape=(1, *x.shape))
        group = x.shape[0] if rng.integers(2) else 1
        weight = integers(2 * x.shape[0], x.shape[0] // group, 2)
        settings = {"strides": (int(rng.integers(1, 3)),), "dilations": (1,), "group": group}
        made = emit(Opcode.CONV, image, settings, {"weight": weight})
        return emit(Opcode.RESHAPE, made, shape=made.shape[1:])

    rules = [
        look_up, look_up, look_up, conv, combine(Opcode.ADD), combine(Opcode.SUBTRACT),
        combine(Opcode.CONCAT, {"axis": 1}),
        lambda x: emit(Opcode.ADD, x, constants={"operand": integers(*x.shape)}),
        lambda x: emit(Opcode.MULTIPLY, x, constants={"operand": integers(x.shape[0], 1)}),
        lambda x: emit(Opcode.MATMUL, x, constants={"weight": integers(x.shape[1], 3)}),
        lambda x: emit(Opcode.SUM, x, {"axes": (1,), "keepdims": True}),
        lambda x: emit(Opcode.ROUND, x, {"lsbs": int(rng.integers(1, 5))}),
        lambda x: emit(Opcode.TRANSPOSE, x, {"perm": (1, 0)}),
        lambda x: emit(
            Opcode.SLICE, x, {"starts": (0, None), "stops": (None, None), "steps": (1, -2)}
        ),
        lambda x: emit(
            Opcode.GATHER, x, constants={"index": rng.integers(0, x.size, size=(2, 3))}
        ),
        lambda x: emit(Opcode.BROADCAST, x, shape=(max(x.shape[0], 2), x.shape[1]))
        if x.shape[0] <= 2
        else look_up(x),
        lambda x: emit(Opcode.PAD, x, {"before": (0, 1), "after": (1, 0)}),
    ]  # fmt: skip
    for _ in range(length):
        x = registers[-1] if rng.integers(3) else registers[int(rng.integers(len(registers)))]
        rule = rules[int(rng.integers(len(rules)))]
        if x.shape[1] < 2 and rule is conv:
            continue
        if max(abs(x.interval.low), abs(x.interval.high)) * bound * 64 > 2**61:
            rule = look_up
        if rule is look_up and max(abs(x.interval.low), abs(x.interval.high)) > 2**60:
            continue
        registers.append(rule(x))
    outputs = [registers[-1], registers[int(rng.integers(len(registers)))]]
    return builder.program(outputs)


def assert_as_plain(program, inputs):
    overflows: list[Overflow] = []
    results = execute(program, inputs, overflows)
    wanted, left = plainly(program, inputs)
    for got, want in zip(results, wanted, strict=True):
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, want)
    assert set(overflows) == set(left)
    for got, want in zip(execute(program, inputs), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def drawn(program, seed, low=0, high=16):
    rng = np.random.default_rng(seed)
    shapes = [program.instructions[position].shape for position in program.inputs]
    return [rng.integers(low, high, size=(6, *shape)) for shape in shapes]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_integers_and_overflows_are_those_of_plain_execution(seed):
    program = random_program(seed)
    assert_as_plain(program, drawn(program, seed))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_so_are_large_integers(seed):
    program = random_program(seed, 6, large=True)
    assert_as_plain(program, drawn(program, seed))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_so_are_those_of_inputs_that_no_client_sends(seed):
    program = random_program(seed)
    assert_as_plain(program, drawn(program, seed, -100, 100))


def test_no_samples_at_all():
    program = random_program(1)
    inputs = [array[:0] for array in drawn(program, 1)]
    overflows: list[Overflow] = []
    for got, place in zip(execute(program, inputs, overflows), program.outputs, strict=True):
        assert got.shape == (0, *program.instructions[place].shape)
    assert not overflows


@pytest.mark.parametrize(
    ("reach", "dtype"),
    [
        (2**24, np.float32),
        (2**24 + 1, np.float64),
        (2**53, np.float64),
        (2**53 + 1, np.int64),
    ],
)
def test_numbers_are_of_the_fastest_exact_type(reach, dtype):
    assert exact_dtype(reach) == dtype
    if dtype is not np.int64:
        assert int(np.array(reach, dtype)) == reach
        assert int(np.array(reach - 1, dtype)) == reach - 1


def dense_then_lookup():
    """A product, moved, scaled and rounded, of which a lookup takes two of four elements."""
    builder = ProgramBuilder(8)
    rng = np.random.default_rng(0)
    x = builder.input("x", rng.integers(0, 16, size=(8, 1, 3)), Interval(0, 15))
    weight = rng.integers(-3, 4, size=(3, 4))
    y = builder.emit(Opcode.MATMUL, [x], constants={"weight": weight})
    y = builder.emit(Opcode.MULTIPLY, [y], constants={"operand": np.array([[1, 2, 3, 4]])})
    y = builder.emit(Opcode.ADD, [y], constants={"operand": np.array([[5, 6, 7, 8]])})
    y = builder.emit(Opcode.ROUND, [y], {"lsbs": 2})
    y = builder.emit(Opcode.RESHAPE, [y], shape=(4,))
    y = builder.emit(Opcode.GATHER, [y], constants={"index": np.array([3, 1])})
    tables = rng.integers(0, 9, size=(1, 64))
    y = builder.emit(Opcode.LOOKUP, [y], {"offset": -100, "shift": 2}, {"tables": tables})
    y = builder.emit(Opcode.PAD, [y], {"before": (0,), "after": (1,)})
    y = builder.emit(Opcode.MATMUL, [y], constants={"weight": rng.integers(-3, 4, size=(3, 2))})
    return builder.program([y])


def test_products_and_lookups_are_fused_with_what_is_around_them():
    program = dense_then_lookup()
    plan = make_plan(program, known=True)
    assert [step.key[0] for step in plan.steps] == [1, 7, 9]
    lookup = fuse_lookup(program, 7, plan.dtype)
    assert lookup is not None
    assert lookup.source == 1
    np.testing.assert_array_equal(lookup.where, [3, 1])
    product = fuse_product(program, 1, lookup.where, plan.dtype)
    assert product is not None
    assert product.matrix.shape == (3, 2)
    assert_as_plain(program, drawn(program, 0))


def test_results_that_are_needed_on_their_own_are_computed_as_well():
    program = dense_then_lookup()
    program = Program(program.instructions, (4, *program.outputs, 4))
    assert_as_plain(program, drawn(program, 0))


def test_tables_that_would_be_too_large_are_not_fused():
    interval = Interval(0, 2**21)
    x = Instruction(Opcode.INPUT, (), (2,), interval, interval, {"name": "x"})
    tables = {"tables": np.arange(8)[np.newaxis]}
    table = Instruction(
        Opcode.LOOKUP, (0,), (2,), Interval(0, 7), Interval(0, 7),
        {"offset": 0, "shift": 18}, tables, "f",
    )  # fmt: skip
    program = Program((x, table), (1,))
    assert fuse_lookup(program, 1, exact_dtype(program_reach(program))) is None
    assert_as_plain(program, [np.array([[0, 2**21], [2**20, 12345]])])


def test_a_program_that_is_gone_takes_what_was_prepared_with_it():
    program = dense_then_lookup()
    execute(program, drawn(program, 0))
    gone = weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None
