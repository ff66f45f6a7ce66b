"""What each instruction computes, on arrays of numbers of a type in which it is exact.

Integers of a known size are exact in float32 or float64 as well, where BLAS multiplies them and
elementwise work is vectorised. `exact_dtype` is the one rule that says when.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.program.kernels import conv_nd

__all__ = [
    "MOVES",
    "Kernel",
    "exact_dtype",
    "flattened",
    "largest",
    "prepare",
    "program_reach",
    "reach",
    "slices",
]

Kernel = Callable[[Sequence[np.ndarray]], np.ndarray]

#: Instructions that compute nothing, and serve arrays of any type.
MOVES = frozenset(
    {
        Opcode.RESHAPE,
        Opcode.TRANSPOSE,
        Opcode.SLICE,
        Opcode.GATHER,
        Opcode.CONCAT,
        Opcode.BROADCAST,
        Opcode.PAD,
    }
)


def exact_dtype(reach: int) -> np.dtype[Any]:
    """The fastest type that holds all integers up to a magnitude exactly."""
    if reach <= 2**24:
        return np.dtype(np.float32)
    return np.dtype(np.float64 if reach <= 2**53 else np.int64)


def largest(values: np.ndarray) -> int:
    """The largest magnitude in an array of integers; 0 if it is empty."""
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def flattened(x: np.ndarray) -> np.ndarray:
    """Samples `(N, *S)` with one axis each; there may be none."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def reach(instruction: Instruction, magnitudes: Sequence[int], shape: Sequence[int]) -> int:
    """Largest magnitude of all that an instruction may meet or make, partial sums included.

    Parameters
    ----------
    instruction : Instruction
        Any but an input.
    magnitudes : sequence of int
        Of each of its inputs.
    shape : sequence of int
        Shape of the first input for one sample.
    """
    opcode, constants = instruction.opcode, instruction.constants
    most: int = max(magnitudes)
    if opcode in (Opcode.ADD, Opcode.SUBTRACT):
        return sum(magnitudes) + sum(map(largest, constants.values()))
    if opcode is Opcode.SUM:
        terms = [shape[axis] for axis in instruction.attributes["axes"]]
        return int(most * math.prod(terms))
    if opcode is Opcode.ROUND:
        return most + (1 << int(instruction.attributes["lsbs"]))
    if opcode is Opcode.LOOKUP:
        tables, shift = constants["tables"], int(instruction.attributes["shift"])
        entering = most + abs(int(instruction.attributes["offset"]))
        return max(entering, largest(tables), tables.shape[1] << shift, tables.size)
    if opcode is Opcode.MULTIPLY:
        return max(most, 1) * max(largest(constants["operand"]), 1)
    if opcode is Opcode.MATMUL:
        return max(most, 1) * max(largest(np.abs(constants["weight"]).sum(axis=-2)), 1)
    if opcode is Opcode.CONV:
        weight = constants["weight"]
        sums = np.abs(weight).sum(axis=tuple(range(1, weight.ndim)))
        return max(most, 1) * max(largest(sums), 1)
    return most


def program_reach(program: Program) -> int:
    """Largest magnitude of all that occurs in a program whose inputs are in their intervals."""
    most = 0
    for instruction in program.instructions:
        most = max(most, _magnitude(instruction.proven))
        if instruction.inputs:
            sources = [program.instructions[source] for source in instruction.inputs]
            magnitudes = [_magnitude(source.proven) for source in sources]
            most = max(most, reach(instruction, magnitudes, sources[0].shape))
    return most


def _magnitude(interval: Interval) -> int:
    return max(abs(interval.low), abs(interval.high))


def prepare(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    """Make the function that computes an instruction.

    Parameters
    ----------
    instruction : Instruction
        Any but an input.
    dtype : numpy.dtype
        Of the arrays `(N, *S)` that it will be given and return: float32, float64 or int64.
    """
    return _RULES[instruction.opcode](instruction, dtype)


def _add(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    if "operand" not in instruction.constants:
        return lambda arrays: np.add(arrays[0], arrays[1])
    operand = instruction.constants["operand"].astype(dtype)
    return lambda arrays: np.add(arrays[0], operand)


def _subtract(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    return lambda arrays: np.subtract(arrays[0], arrays[1])


def _multiply(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    operand = instruction.constants["operand"].astype(dtype)
    return lambda arrays: np.multiply(arrays[0], operand)


def _matmul(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    weight = instruction.constants["weight"].astype(dtype)
    if weight.ndim > 2:
        return lambda arrays: np.matmul(arrays[0], weight)
    depth, width = weight.shape

    def product(arrays: Sequence[np.ndarray]) -> np.ndarray:
        # One large product in place of one for each sample.
        x = arrays[0]
        rows = math.prod(x.shape[:-1])
        result: np.ndarray = np.matmul(x.reshape(rows, depth), weight)
        return result.reshape(*x.shape[:-1], width)

    return product


def _conv(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    weight = instruction.constants["weight"].astype(dtype)
    settings = {name: instruction.attributes[name] for name in ("strides", "dilations", "group")}

    def convolve(arrays: Sequence[np.ndarray]) -> np.ndarray:
        # Samples and the program's own leading axis are both image counts to the kernel.
        x = arrays[0]
        result = conv_nd(x.reshape(-1, *x.shape[2:]), weight, **settings)
        return result.reshape(*x.shape[:2], *result.shape[1:])

    return convolve


def _sum(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    axes = tuple(axis + 1 for axis in instruction.attributes["axes"])
    keep = bool(instruction.attributes["keepdims"])

    def total(arrays: Sequence[np.ndarray]) -> np.ndarray:
        result: np.ndarray = np.sum(arrays[0], axis=axes, keepdims=keep)
        return result

    return total


def _lookup(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    tables = instruction.constants["tables"]
    flat, levels = tables.astype(dtype).reshape(-1), tables.shape[1]
    rows = instruction.constants.get("index")
    starts = None if rows is None else rows * levels
    offset, shift = (int(instruction.attributes[name]) for name in ("offset", "shift"))

    def look_up(arrays: Sequence[np.ndarray]) -> np.ndarray:
        place = arrays[0] - offset
        place = np.floor(place * 2.0**-shift) if dtype.kind == "f" else place >> shift
        entry = np.clip(place, 0, levels - 1).astype(np.intp)
        return flat.take(entry if starts is None else entry + starts)

    return look_up


def _round(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    lsbs = int(instruction.attributes["lsbs"])
    step = 1 << lsbs
    if dtype.kind == "f":
        return lambda arrays: np.floor((arrays[0] + step // 2) * (1.0 / step)) * step
    return lambda arrays: (arrays[0] + step // 2) >> lsbs << lsbs


def _reshape(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    return lambda arrays: arrays[0].reshape(len(arrays[0]), *instruction.shape)


def _transpose(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    order = (0, *(axis + 1 for axis in instruction.attributes["perm"]))
    return lambda arrays: arrays[0].transpose(order)


def slices(attributes: Mapping[str, Sequence[int | None]]) -> tuple[slice, ...]:
    """The Python slices of a SLICE instruction."""
    return tuple(map(slice, attributes["starts"], attributes["stops"], attributes["steps"]))


def _slice(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    pick = (slice(None), *slices(instruction.attributes))
    return lambda arrays: arrays[0][pick]


def _gather(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    index = instruction.constants["index"]
    return lambda arrays: flattened(arrays[0])[:, index]


def _concat(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    axis = instruction.attributes["axis"] + 1
    return lambda arrays: np.concatenate(arrays, axis=axis)


def _broadcast(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    def broadcast(arrays: Sequence[np.ndarray]) -> np.ndarray:
        x = arrays[0]
        spare = len(instruction.shape) - (x.ndim - 1)
        lined = x.reshape(len(x), *(1,) * spare, *x.shape[1:])
        return np.broadcast_to(lined, (len(x), *instruction.shape))

    return broadcast


def _pad(instruction: Instruction, dtype: np.dtype[Any]) -> Kernel:
    settings = instruction.attributes
    widths = [(0, 0), *zip(settings["before"], settings["after"], strict=True)]
    return lambda arrays: np.pad(arrays[0], widths)


_RULES: Mapping[Opcode, Callable[[Instruction, np.dtype[Any]], Kernel]] = {
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
