"""Building an integer program while running it on the calibration data.

Every instruction is executed on the quantized calibration samples as soon as it is emitted, so
the integers that really occur are known when the next decision is taken, and its proven bounds
are carried along. Equal instructions are emitted once.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.program.cost import noise_after, program_cost
from cml_core.program.execute import apply_instruction
from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.program.ranges import Bounds, propagate
from cml_core.program.rules import MOVES

__all__ = ["ProgramBuilder", "Register", "pooled", "smallest_dtype"]

#: Bits by which demands on lookups are taken for higher where a choice depends on their price.
_RESERVE = 0.05


def smallest_dtype(low: int, high: int) -> np.dtype[Any]:
    """The smallest integer dtype that holds an interval."""
    return np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high))


@attrs.frozen(slots=True, eq=False, weakref_slot=True, repr=False)
class Register:
    """The result of an instruction, and what is known of it while the program is built.

    Parameters
    ----------
    position : int
        Its instruction in the program.
    shape : tuple of int
        Shape of one sample.
    interval : Interval
        The integers it may take.
    bounds : Bounds
        Proven lowest and highest integer of each element.
    samples : integer array of shape (N, *S)
        Its integers on the calibration data.
    noise : float
        Variance of the noise that encryption will give it, in variances of one lookup's result.
    packed : bool
        Whether several operands share each integer, so that no low bit may be rounded away.
    """

    position: int
    shape: tuple[int, ...]
    interval: Interval
    bounds: Bounds
    samples: np.ndarray
    noise: float = 0.0
    packed: bool = False

    @property
    def size(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)


@attrs.define(eq=False)
class ProgramBuilder:
    """Emits instructions.

    Parameters
    ----------
    count : int
        Number of calibration samples N.
    proven : bool
        Give accumulators their proven interval in place of the calibrated one.
    margin : float
        Share of the calibrated range that is added on both sides.
    node : str
        The node to which instructions are put down.
    lookups : dict
        Tensors that were looked up already, with the results; keeps their ids from being reused.
    products : dict
        By position, what else is known of registers that are products with clear weights.
    parts : dict
        By position, where the elements of registers are encrypted that are inputs in several parts.
    conditions : dict
        By position, what registers of bits are that are conjunctions of others.
    """

    count: int
    proven: bool = False
    margin: float = 0.0
    node: str = ""
    lookups: dict[Any, Any] = attrs.field(factory=dict, init=False)
    products: dict[int, Any] = attrs.field(factory=dict, init=False)
    parts: dict[int, Any] = attrs.field(factory=dict, init=False)
    conditions: dict[int, Any] = attrs.field(factory=dict, init=False)
    _instructions: list[Instruction] = attrs.field(factory=list, init=False)
    _known: weakref.WeakValueDictionary[bytes, Register] = attrs.field(
        factory=weakref.WeakValueDictionary, init=False
    )

    def __len__(self) -> int:
        """Number of instructions so far."""
        return len(self._instructions)

    def input(self, name: str, samples: np.ndarray, interval: Interval) -> Register:
        """Declare an encrypted input with its calibration samples `(N, *S)`."""
        shape = samples.shape[1:]
        low = np.full(shape, interval.low, dtype=np.int64)
        high = np.full(shape, interval.high, dtype=np.int64)
        instruction = Instruction(
            Opcode.INPUT, (), shape, interval, interval, {"name": name}, {}, self.node
        )
        return self._append(instruction, (), Bounds(low, high), samples)

    def emit(
        self,
        opcode: Opcode,
        inputs: Sequence[Register],
        attributes: Mapping[str, Any] | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        interval: Interval | None = None,
        bounds: Bounds | None = None,
        packed: bool = False,
    ) -> Register:
        """Append an instruction, or return the register of an equal one that is there already.

        Parameters
        ----------
        opcode, inputs, attributes, constants
            The instruction.
        shape : tuple of int, optional
            Shape of the result, for instructions that take it from there.
        interval : Interval, optional
            What the result may take, where the caller knows better.
        bounds : Bounds, optional
            Proven bounds of the result, where the caller knows better.
        packed : bool
            Whether the result holds several operands in each integer.
        """
        attributes, constants = attributes or {}, constants or {}
        positions = tuple(register.position for register in inputs)
        key = _fingerprint(opcode, positions, attributes, constants, shape)
        known = self._known.get(key)
        if known is not None:
            return known
        unknown = Interval(0, 0)
        draft = Instruction(
            opcode, positions, shape or (), unknown, unknown, attributes, constants, self.node
        )
        samples = apply_instruction(draft, [register.samples for register in inputs])
        draft = attrs.evolve(draft, shape=samples.shape[1:])
        if bounds is None:
            bounds = propagate(draft, [register.bounds for register in inputs])
        proven = _hull(bounds)
        if interval is None:
            interval = self._interval(draft, inputs, samples, proven)
        instruction = attrs.evolve(draft, interval=interval, proven=proven)
        register = self._append(instruction, inputs, bounds, samples)
        kept = opcode in MOVES or (opcode is Opcode.ADD and len(inputs) == 1)
        if packed or (kept and any(r.packed for r in inputs)):
            register = attrs.evolve(register, packed=True)
        self._known[key] = register
        return register

    def at(self, position: int) -> Instruction:
        """The instruction at a position."""
        return self._instructions[position]

    def instruction(self, register: Register) -> Instruction:
        """The instruction whose result a register is."""
        return self._instructions[register.position]

    def program(self, outputs: Sequence[Register]) -> Program:
        """Return the program with these outputs, without what they do not need.

        Instructions that are equal but for the registers of equal ones are there once: `emit` had
        forgotten a register in between that nobody needed any more.
        """
        place: list[int] = []
        known: dict[bytes, int] = {}
        for position, instruction in enumerate(self._instructions):
            inputs = tuple(place[k] for k in instruction.inputs)
            key = _fingerprint(
                instruction.opcode,
                inputs,
                instruction.attributes,
                instruction.constants,
                (*instruction.shape, instruction.interval),
            )
            place.append(known.setdefault(key, position))
            self._instructions[position] = attrs.evolve(instruction, inputs=inputs)
        positions = tuple(place[register.position] for register in outputs)
        return Program(tuple(self._instructions), positions).pruned()

    def complexity(self, registers: Sequence[Register]) -> float:
        """Predicted complexity of computing some registers, for a caller who then chooses.

        What nearly asks for the next step of a price may well be charged it.
        """
        costs = program_cost(self.program(registers), reserve=_RESERVE)
        return sum(cost.complexity for cost in costs.values())

    @contextlib.contextmanager
    def on_behalf_of(self, node: str) -> Iterator[None]:
        """Put instructions down to another node for a while; an empty name changes nothing."""
        before, self.node = self.node, node or self.node
        try:
            yield
        finally:
            self.node = before

    @contextlib.contextmanager
    def proving(self) -> Iterator[None]:
        """Give accumulators their proven interval for a while."""
        before, self.proven = self.proven, True
        try:
            yield
        finally:
            self.proven = before

    def widen(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add the margin on both sides of calibrated lowest and highest integers."""
        extra = np.ceil(self.margin * (high - low)).astype(np.int64)
        return low - extra, high + extra

    def occupied(
        self, register: Register, channel: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest integer of each channel: calibrated with the margin, or proven.

        Parameters
        ----------
        register : Register
            The integers.
        channel : int array of the register's shape
            The channel of each element, in `[0, count)`.
        count : int
            The number of channels.
        """
        proven = pooled(channel, count, register.bounds.low, register.bounds.high)
        if self.proven or register.samples.size == 0:
            return proven
        if register.packed:
            # Operands that are packed together meet in combinations that calibration has not seen.
            low, high = (
                np.clip(end, register.interval.low, register.interval.high) for end in proven
            )
            return low, high
        low, high = self.widen(*self.seen(register, channel, count))
        return np.maximum(low, proven[0]), np.minimum(high, proven[1])

    def seen(
        self, register: Register, channel: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest integer of each channel on the calibration samples, if there are."""
        if register.samples.size == 0:
            return pooled(channel, count, register.bounds.low, register.bounds.high)
        low = register.samples.min(axis=0).astype(np.int64)
        high = register.samples.max(axis=0).astype(np.int64)
        return pooled(channel, count, low, high)

    def _append(
        self,
        instruction: Instruction,
        inputs: Sequence[Register],
        bounds: Bounds,
        samples: np.ndarray,
    ) -> Register:
        if samples.size:
            dtype = smallest_dtype(int(samples.min()), int(samples.max()))
            samples = samples.astype(dtype)
        self._instructions.append(instruction)
        sources = [self._instructions[register.position] for register in inputs]
        noise = noise_after(instruction, sources, [register.noise for register in inputs])
        return Register(
            len(self._instructions) - 1,
            instruction.shape,
            instruction.interval,
            bounds,
            samples,
            noise,
        )

    def _interval(
        self,
        instruction: Instruction,
        inputs: Sequence[Register],
        samples: np.ndarray,
        proven: Interval,
    ) -> Interval:
        if instruction.opcode in MOVES:
            merged = inputs[0].interval
            for register in inputs[1:]:
                merged = merged.hull(register.interval)
            return merged.hull(Interval(0, 0)) if instruction.opcode is Opcode.PAD else merged
        if self.proven or instruction.opcode is Opcode.LOOKUP or samples.size == 0:
            return proven
        low, high = self.widen(samples.min(keepdims=True), samples.max(keepdims=True))
        seen = Interval(int(low.item()), int(high.item())).meet(proven)
        # What needs no more bits cannot be left, so it is better.
        return proven if proven.width <= seen.width else seen


def pooled(
    channel: np.ndarray, count: int, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pool lowest and highest integers of elements over each of `count` channels."""
    lows = np.full(count, np.iinfo(np.int64).max)
    highs = np.full(count, np.iinfo(np.int64).min)
    channel = channel.reshape(-1)
    np.minimum.at(lows, channel, low.reshape(-1))
    np.maximum.at(highs, channel, high.reshape(-1))
    unused = lows > highs
    lows[unused] = highs[unused] = 0
    return lows, highs


def _hull(bounds: Bounds) -> Interval:
    if bounds.low.size == 0:
        return Interval(0, 0)
    return Interval(int(bounds.low.min()), int(bounds.high.max()))


def _fingerprint(
    opcode: Opcode,
    positions: tuple[int, ...],
    attributes: Mapping[str, Any],
    constants: Mapping[str, np.ndarray],
    shape: tuple[Any, ...] | None,
) -> bytes:
    digest = hashlib.sha256()
    digest.update(repr((opcode.value, positions, sorted(attributes.items()), shape)).encode())
    for name, array in sorted(constants.items()):
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
