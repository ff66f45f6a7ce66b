"""Tracing an integer program with a Concrete compiler.

Both Concrete compilers trace a Python function into a graph of their own and then measure, on
sample inputs, which integers occur at each of its nodes. cml knows the intervals already, so it
puts them in place of the measurement: the circuit's bit widths are the program's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from cml_core.fhe.widths import declared_intervals
from cml_core.program.execute import slices
from cml_core.program.instructions import Instruction, Interval, Opcode, Program

__all__ = ["ConcreteDialect", "TracedProgram"]

#: What both compilers call nodes that only move elements.
_MOVING_NODES = frozenset(
    {"broadcast_to", "expand_dims", "index.static", "index_static", "reshape", "transpose"}
)


class ConcreteDialect(Protocol):
    """What the two Concrete compilers call differently."""

    def tag(self, name: str) -> Any:
        """Context manager that marks what is traced in it with a node's name."""
        ...

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """A tensor of encrypted zeros."""
        ...

    def round(self, x: Any, lsbs: int, exact: bool) -> Any:
        """Round the low bits away; approximately if that is allowed and possible."""
        ...

    def conv2d(self, x: Any, weight: np.ndarray, strides: Any, dilations: Any, group: int) -> Any:
        """Two-dimensional convolution without padding."""
        ...

    def univariate(self, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
        """A table lookup from an elementwise function of integers."""
        ...

    def gather(self, x: Any, index: np.ndarray) -> Any:
        """Elements of a one-dimensional tensor at the given positions."""
        ...


@attrs.define(eq=False)
class TracedProgram:
    """A program as a Python function that a Concrete compiler can trace.

    Parameters
    ----------
    program : Program
        What to trace.
    dialect : ConcreteDialect
        How this compiler names things.
    joined : bool
        Return all outputs in one flat tensor, for a compiler that knows no other way.
    approximate : bool
        Round approximately where the program allows it. An output that is rounded so has its low
        bits left out; rounded in any other way it would cost bootstraps, so it is given whole.
    """

    program: Program
    dialect: ConcreteDialect
    joined: bool = False
    approximate: bool = False
    _intervals: list[Interval] = attrs.field(init=False)
    _bounds: dict[Any, Interval] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._intervals = declared_intervals(self.program)

    @property
    def parameters(self) -> dict[str, str]:
        """The function's parameters, all encrypted."""
        return {f"x{place}": "encrypted" for place in range(len(self.program.inputs))}

    def sample(self) -> Any:
        """An input of the right shapes, for tracing alone."""
        instructions = self.program.instructions
        zeros = [
            np.full(instructions[i].shape, instructions[i].interval.low, dtype=np.int64)
            for i in self.program.inputs
        ]
        return zeros[0] if len(zeros) == 1 else tuple(zeros)

    def function(self) -> Callable[..., Any]:
        """Return the function to trace."""

        def circuit(**arguments: Any) -> Any:
            return self._trace([arguments[name] for name in self.parameters])

        circuit.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in self.parameters]
        )
        return circuit

    def impose_bounds(self, graph: Any) -> None:
        """Make a traced graph take the program's intervals for its measured bounds."""
        measure = graph.measure_bounds

        def measure_bounds(inputset: Any) -> dict[Any, dict[str, np.int64]]:
            with np.errstate(all="ignore"):
                bounds: dict[Any, dict[str, np.int64]] = measure(inputset)
            for node, interval in self._bounds.items():
                if node in bounds:
                    bounds[node] = {"min": np.int64(interval.low), "max": np.int64(interval.high)}
            return bounds

        graph.measure_bounds = measure_bounds

    def _trace(self, arguments: list[Any]) -> Any:
        feeds = iter(arguments)
        results: list[Any] = []
        for instruction, interval in zip(self.program.instructions, self._intervals, strict=True):
            if instruction.opcode is Opcode.INPUT:
                result = next(feeds)
            else:
                with self.dialect.tag(instruction.node or "program"):
                    sources = [results[i] for i in instruction.inputs]
                    result = _RULES[instruction.opcode](self.dialect, instruction, sources)
            latest = getattr(result, "last_version", None)
            result = result if latest is None else latest
            self._remember(result, interval)
            results.append(result)
        positions = [self._given(i) for i in self.program.outputs]
        outputs = [results[i] for i in positions]
        if self.joined and len(outputs) > 1:
            return self._join(outputs, positions)
        # A compiler wants each output to be a computation of its own.
        seen: set[int] = set()
        for place, (output, position) in enumerate(zip(outputs, positions, strict=True)):
            if id(output) in seen or position in self.program.inputs:
                outputs[place] = output + 0
                self._remember(outputs[place], self._intervals[position])
            seen.add(id(outputs[place]))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _given(self, position: int) -> int:
        """What the circuit gives for an output; what is left of rounding, the client does."""
        instruction = self.program.instructions[position]
        whole = instruction.lost_bits and not self.approximate
        return instruction.inputs[0] if whole else position

    def _join(self, outputs: Sequence[Any], positions: Sequence[int]) -> Any:
        instructions = [self.program.instructions[i] for i in positions]
        flat = tuple(
            output.reshape((i.size,)) if i.shape else np.broadcast_to(output, (1,))
            for output, i in zip(outputs, instructions, strict=True)
        )
        hull = instructions[0].interval
        for instruction in instructions[1:]:
            hull = hull.hull(instruction.interval)
        result = np.concatenate(flat, axis=0)
        self._remember(result, hull)
        return result

    def _remember(self, tracer: Any, interval: Interval) -> None:
        """Note the interval of a result and of what was traced on the way to it.

        What only moves elements of an earlier result has that result's interval.
        """
        fresh: list[Any] = []
        waiting = [tracer]
        while waiting:
            current = waiting.pop()
            node = current.computation
            if node in self._bounds or node.operation.name == "Constant":
                continue
            fresh.append(current)
            waiting.extend(current.input_tracers)
        for current in reversed(fresh):
            sources = [self._bounds.get(t.computation) for t in current.input_tracers]
            moves = current.computation.properties.get("name") in _MOVING_NODES
            kept = moves and len(sources) == 1 and sources[0] is not None
            self._bounds[current.computation] = sources[0] if kept else interval  # type: ignore[assignment]
        self._bounds[tracer.computation] = interval


Rule = Callable[[ConcreteDialect, Instruction, Sequence[Any]], Any]


def _add(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    if len(x) > 1:
        return x[0] + x[1]
    # The sign of a constant would take a bit, and widen all that is connected to the result.
    operand = instruction.constants["operand"]
    below = np.maximum(-operand, 0)
    if not below.any():
        return x[0] + operand
    return (x[0] + np.maximum(operand, 0) if (operand > 0).any() else x[0]) - below


def _subtract(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return x[0] - x[1]


def _multiply(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return x[0] * instruction.constants["operand"]


def _matmul(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return x[0] @ instruction.constants["weight"]


def _conv(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    weight, settings = instruction.constants["weight"], instruction.attributes
    strides, dilations, group = settings["strides"], settings["dilations"], settings["group"]
    rank = weight.ndim - 2
    image = x[0]
    if rank == 1:
        flat = image.reshape((image.shape[0], image.shape[1], 1, image.shape[2]))
        filters = weight[:, :, np.newaxis]
        result = dialect.conv2d(flat, filters, (1, *strides), (1, *dilations), group)
        return result.reshape(instruction.shape)
    if rank == 2:
        return dialect.conv2d(image, weight, strides, dilations, group)
    # Three dimensions: every output plane is a sum of two-dimensional convolutions.
    planes = []
    for place in range(instruction.shape[2]):
        total = None
        for depth in range(weight.shape[2]):
            start = place * strides[0] + depth * dilations[0]
            part = dialect.conv2d(
                image[:, :, start], weight[:, :, depth], strides[1:], dilations[1:], group
            )
            total = part if total is None else total + part
        shape = (instruction.shape[0], instruction.shape[1], 1, *instruction.shape[3:])
        planes.append(total.reshape(shape))  # type: ignore[union-attr]
    return planes[0] if len(planes) == 1 else np.concatenate(tuple(planes), axis=2)


def _sum(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    settings = instruction.attributes
    return np.sum(x[0], axis=settings["axes"], keepdims=settings["keepdims"])


def _lookup(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    tables = instruction.constants["tables"]
    index = instruction.constants.get("index")
    offset, shift = instruction.attributes["offset"], instruction.attributes["shift"]
    top = tables.shape[1] - 1

    def function(values: np.ndarray) -> np.ndarray:
        entry = np.clip((np.asarray(values) - offset) >> shift, 0, top)
        # Tracing may ask with arrays of other shapes, whose answer is not looked at.
        shared = index is None or entry.shape != index.shape
        result: np.ndarray = tables[0][entry] if shared else tables[index, entry]
        return result

    return dialect.univariate(function)(x[0])


def _round(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    settings = instruction.attributes
    return dialect.round(x[0], settings["lsbs"], settings.get("exact", True))


def _reshape(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    if instruction.shape == ():
        return x[0][(0,) * len(x[0].shape)]
    if x[0].shape == ():
        return np.broadcast_to(x[0], instruction.shape)
    return x[0].reshape(instruction.shape)


def _transpose(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return np.transpose(x[0], instruction.attributes["perm"])


def _slice(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return x[0][slices(instruction.attributes)]


def _gather(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return dialect.gather(x[0], instruction.constants["index"])


def _concat(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return np.concatenate(tuple(x), axis=instruction.attributes["axis"])


def _broadcast(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    return np.broadcast_to(x[0], instruction.shape)


def _pad(dialect: ConcreteDialect, instruction: Instruction, x: Sequence[Any]) -> Any:
    canvas = dialect.zeros(instruction.shape)
    before = instruction.attributes["before"]
    window = tuple(slice(b, b + size) for b, size in zip(before, x[0].shape, strict=True))
    canvas[window] = x[0]
    return canvas


_RULES: Mapping[Opcode, Rule] = {
    Opcode.ADD: _add,
    Opcode.SUBTRACT: _subtract,
    Opcode.MULTIPLY: _multiply,
    Opcode.MATMUL: _matmul,
    Opcode.CONV: _conv,
    Opcode.SUM: _sum,
    Opcode.LOOKUP: _lookup,
    Opcode.ROUND: _round,
    Opcode.RESHAPE: _reshape,
    Opcode.TRANSPOSE: _transpose,
    Opcode.SLICE: _slice,
    Opcode.GATHER: _gather,
    Opcode.CONCAT: _concat,
    Opcode.BROADCAST: _broadcast,
    Opcode.PAD: _pad,
}
