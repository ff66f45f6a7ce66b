"""Lookups of counted conditions: whether all of them hold, as conjunctions of bits."""

from __future__ import annotations

import math

import attrs
import numpy as np

from cml_core.program.execute import apply_instruction
from cml_core.program.instructions import Interval, Opcode
from cml_core.program.ranges import Bounds
from cml_core.program.rules import MOVES
from cml_core.quantization.alternatives import Asked, Conjunction, Plan, planned
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.cut_inputs import sum_of_bits
from cml_core.quantization.known_products import Product
from cml_core.quantization.origins import origin

__all__ = ["Conditions", "conjunctions_of", "in_stages", "weighed"]

#: Most entries of a matrix from all bits to all counts.
_UNROLLED = 2**23


@attrs.frozen(slots=True, eq=False)
class Conditions:
    """What a register of bits is, element by element.

    Parameters
    ----------
    plan : Plan
        How conjunctions are computed.
    bits : Register
        The bits, one-dimensional.
    found : Register or None
        All lookups, one-dimensional.
    conjunctions : tuple of Conjunction
        Of each element.
    negated : bool array
        Whether an element is one where it does not hold.
    """

    plan: Plan
    bits: Register
    found: Register | None
    conjunctions: tuple[Conjunction, ...]
    negated: np.ndarray

    @property
    def count(self) -> int:
        """Number of variables: bits and lookups."""
        return self.bits.size + (0 if self.found is None else self.found.size)


def conjunctions_of(
    builder: ProgramBuilder, register: Register, codes: np.ndarray, low: int
) -> tuple[Register, list[Conjunction], np.ndarray] | None:
    """Find out whether what is looked up are conjunctions of bits.

    Parameters
    ----------
    builder : ProgramBuilder
        The program so far.
    register : Register
        Sums of bits, moved or not.
    codes : int array of shape (elements, levels)
        What each element's table gives, zero or one, from integer `low` on.
    low : int
        The first integer.

    Returns
    -------
    tuple of Register, list of Conjunction and bool array, or None
        The bits; the conjunctions, and which of them are negated. None if they are none.
    """
    found = origin(builder, register.position, builder.products)
    if found is None:
        return None
    position, where = found
    known: Product = builder.products[position]
    source, given = known.source, builder.at(position).size
    if source.interval != Interval(0, 1) or np.abs(known.integers).max(initial=0) > 1:
        return None
    if source.size * max(source.size, given) > _UNROLLED:
        return None
    units = np.eye(source.size).reshape(source.size, *source.shape)
    real = known.apply(units) / np.broadcast_to(known.step, builder.at(position).shape)
    factors = np.rint(real).astype(np.int64).reshape(source.size, given)
    conjunctions, negated = [], []
    for place, row in zip(where.reshape(-1).tolist(), codes, strict=True):
        (bits,) = np.nonzero(factors[:, place])
        sign = factors[bits, place]
        start, stop = -int((sign < 0).sum()) - low, int((sign > 0).sum()) - low
        if start < 0 or stop >= len(row):
            return None
        one = _conjunction(bits, sign, row[start : stop + 1])
        if one is None:
            return None
        conjunctions.append(one[0])
        negated.append(one[1])
    return source, conjunctions, np.array(negated)


def _conjunction(
    bits: np.ndarray, sign: np.ndarray, row: np.ndarray
) -> tuple[Conjunction, bool] | None:
    """What a table of a sum of bits is, from the least sum to the largest."""
    if (row == row[0]).all():
        return Conjunction(), not row[0]
    for end, rest, holds in ((row[-1], row[:-1], sign > 0), (row[0], row[1:], sign < 0)):
        if (rest == 1 - end).all():
            return Conjunction((2 * bits + holds).tolist()), not end
    return None


def in_stages(
    builder: ProgramBuilder,
    source: Register,
    conjunctions: list[Conjunction],
    negated: np.ndarray,
) -> Register:
    """Emit conjunctions of bits as few lookups of few bits; the result is one-dimensional."""
    bits, conjunctions, scale = _from_steps(builder, source, conjunctions)
    plan = planned(conjunctions, bits.size, scale)
    place: dict[int, int] = {}
    registers: list[Register] = []
    found: Register | None = None
    for stage, most in sorted({(asked.stage, asked.most) for asked in plan.asked}):
        mine = [k for k, a in enumerate(plan.asked) if (a.stage, a.most) == (stage, most)]
        asked = [plan.asked[k] for k in mine]
        total = _summed(builder, bits, found, place, asked, Interval(0, most))
        table = np.zeros((1, most + 1), dtype=np.int64)
        table[0, most] = 1
        settings = {"offset": 0, "shift": 0}
        registers.append(builder.emit(Opcode.LOOKUP, [total], settings, {"tables": table}))
        for k in mine:
            place[bits.size + k] = bits.size + len(place)
        found = registers[0]
        if len(registers) > 1:
            found = builder.emit(Opcode.CONCAT, registers, {"axis": 0})
    values = [_negated(plan.values[c], no) for c, no in zip(conjunctions, negated, strict=True)]
    rows = [Asked(terms, start, 1, 0) for terms, start in values]
    result = _summed(builder, bits, found, place, rows, Interval(0, 1))
    builder.conditions[result.position] = Conditions(
        _placed(plan, place), bits, found, tuple(conjunctions), negated
    )
    return result


def _from_steps(
    builder: ProgramBuilder, source: Register, conjunctions: list[Conjunction]
) -> tuple[Register, list[Conjunction], dict[int, tuple[int, int]]]:
    """Conjunctions of the steps that a client encrypts, if it is these that the bits are.

    Returns
    -------
    bits : Register
        What the conjunctions are of, one-dimensional.
    conjunctions : list of Conjunction
        The same as before.
    scale : dict
        As in `Plan`.
    """
    flat = builder.emit(Opcode.RESHAPE, [source], shape=(source.size,))
    steps = _steps(builder)
    position, index, factor, constant = (
        each.reshape(-1) for each in _traced(builder, source.position, frozenset(steps))
    )
    used = sorted({literal >> 1 for each in conjunctions for literal in each})
    origins = set(position[used].tolist())
    as_it_is = (factor == 1) & (constant == 0)
    turned = (factor == -1) & (constant == 1)
    if len(origins) != 1 or not origins <= set(steps) or not (as_it_is | turned)[used].all():
        return flat, conjunctions, {}
    register, scale = steps[origins.pop()]
    number, holds = index.tolist(), as_it_is.tolist()
    renamed = [
        frozenset(
            2 * number[literal >> 1] + (literal & 1 if holds[literal >> 1] else 1 - (literal & 1))
            for literal in each
        )
        for each in conjunctions
    ]
    return register, renamed, scale


def _steps(builder: ProgramBuilder) -> dict[int, tuple[Register, dict[int, tuple[int, int]]]]:
    """By position, inputs that are steps, with what number each is a step of and its rank."""
    found = {}
    for parts in builder.parts.values():
        for k, register in enumerate(parts.registers):
            if parts.is_bits(k):
                found[register.position] = (
                    register,
                    {
                        int(parts.first[number]) + rank: (int(number), rank)
                        for number in np.flatnonzero(parts.part == k)
                        for rank in range(int(parts.number[number]))
                    },
                )
    return found


def _traced(
    builder: ProgramBuilder, position: int, stops: frozenset[int]
) -> tuple[np.ndarray, ...]:
    """Each element of a register as `factor * element + constant` of one that it stems from.

    Returns
    -------
    position, index, factor, constant : int arrays of the register's shape
        Which element of which register it stems from, and how.
    """
    instruction = builder.at(position)
    opcode, shape = instruction.opcode, instruction.shape
    if position not in stops and len(instruction.inputs) == 1:
        before = _traced(builder, instruction.inputs[0], stops)
        if opcode in MOVES and opcode is not Opcode.PAD:
            return tuple(apply_instruction(instruction, [each[np.newaxis]])[0] for each in before)
        operand = instruction.constants.get("operand")
        if opcode is Opcode.MULTIPLY:
            return *before[:2], before[2] * operand, before[3] * operand
        if opcode is Opcode.ADD:
            return *before[:3], before[3] + operand
    index = np.arange(math.prod(shape)).reshape(shape)
    return np.full(shape, position), index, np.ones_like(index), np.zeros_like(index)


def _negated(value: tuple[dict[int, int], int], negated: bool) -> tuple[dict[int, int], int]:
    terms, start = value
    return ({v: -f for v, f in terms.items()}, 1 - start) if negated else value


def _placed(plan: Plan, place: dict[int, int]) -> Plan:
    """The plan with lookups numbered in the order in which they are done."""
    values = {
        each: ({place.get(v, v): factor for v, factor in terms.items()}, start)
        for each, (terms, start) in plan.values.items()
    }
    return attrs.evolve(plan, values=values)


def _summed(
    builder: ProgramBuilder,
    bits: Register,
    found: Register | None,
    place: dict[int, int],
    rows: list[Asked],
    interval: Interval,
) -> Register:
    """Sums of variables, bits and lookups apart: what is fresh from the client has no noise."""
    total = None
    for source, start in ((bits, 0), (found, bits.size)):
        if source is None:
            continue
        inside = [
            [
                (place.get(v, v) - start, f)
                for v, f in row.terms.items()
                if (v >= bits.size) == (start > 0)
            ]
            for row in rows
        ]
        most = max(map(len, inside), default=0)
        if most == 0:
            continue
        index, factor = np.zeros((2, most, len(rows)), dtype=np.int64)
        for k, terms in enumerate(inside):
            for r, (variable, f) in enumerate(terms):
                index[r, k], factor[r, k] = variable, f
        part = sum_of_bits(builder, source, index, factor)
        total = part if total is None else builder.emit(Opcode.ADD, [total, part])
    operand = np.array([row.start for row in rows], dtype=np.int64)
    if total is None:
        nothing = np.zeros((2, 1, len(rows)), dtype=np.int64)
        total = sum_of_bits(builder, bits, *nothing)
    ends = np.zeros_like(operand), np.full_like(operand, interval.high)
    return builder.emit(
        Opcode.ADD,
        [total],
        constants={"operand": operand},
        interval=interval,
        bounds=Bounds(*ends),
        packed=True,
    )


def weighed(builder: ProgramBuilder, register: Register, weights: np.ndarray) -> Register | None:
    """A product of conjunctions with integer weights, straight from what they are computed from.

    Parameters
    ----------
    builder : ProgramBuilder
        The program so far.
    register : Register of shape (K,) or (1, ..., K)
        Conjunctions, moved or not.
    weights : int array of shape (K, M)
        What each of them adds.

    Returns
    -------
    Register or None
        None if the register holds something else.
    """
    found = origin(builder, register.position, builder.conditions) if builder.conditions else None
    if found is None or math.prod(register.shape[:-1]) != 1 or weights.ndim != 2:
        return None
    position, where = found
    known: Conditions = builder.conditions[position]
    size, elements = weights.shape[1], where.reshape(-1)
    signed = np.where(known.negated[elements], -1, 1)[:, np.newaxis] * weights
    start = np.where(known.negated[elements], 1, 0) @ weights
    added: dict[Conjunction, np.ndarray] = {}
    for element, row in zip(elements.tolist(), signed, strict=True):
        each = known.conjunctions[element]
        added[each] = added[each] + row if each in added else row
    low, high = (end + start for end in known.plan.ends(added, size))
    matrix = np.zeros((known.count, size), dtype=np.int64)
    terms = [
        (variable, place, factor)
        for place, each in enumerate(added)
        for variable, factor in known.plan.values[each][0].items()
    ]
    constants = [known.plan.values[each][1] for each in added]
    rows = np.stack(list(added.values()))
    start = start + np.array(constants) @ rows
    if terms:
        variable, place, factor = np.array(sorted(terms)).T
        used, first = np.unique(variable, return_index=True)
        matrix[used] = np.add.reduceat(factor[:, np.newaxis] * rows[place], first, axis=0)
    total = None
    for source, part in (
        (known.bits, matrix[: known.bits.size]),
        (known.found, matrix[known.bits.size :]),
    ):
        (used,) = np.nonzero(part.any(axis=1))
        if source is None or used.size == 0:
            continue
        taken = builder.emit(Opcode.GATHER, [source], constants={"index": used})
        term = builder.emit(Opcode.MATMUL, [taken], constants={"weight": part[used]})
        total = term if total is None else builder.emit(Opcode.ADD, [total, term])
    if total is None:
        return None
    total = builder.emit(
        Opcode.ADD, [total], constants={"operand": start}, bounds=Bounds(low, high)
    )
    shape = (*register.shape[:-1], size)
    return total if shape == total.shape else builder.emit(Opcode.RESHAPE, [total], shape=shape)
