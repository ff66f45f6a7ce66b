"""Executing integer programs in NumPy, vectorised over samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from cml_core.program.instructions import Instruction, Opcode, Program
from cml_core.program.kernels import conv_nd

__all__ = ["Overflow", "apply_instruction", "execute"]

#: Products and sums below this are exact in float64, and BLAS computes them there.
_EXACT = 2**53


@attrs.frozen(slots=True)
class Overflow:
    """Samples whose integers left the interval that an instruction was compiled for."""

    node: str
    samples: int
    low: int
    high: int


def execute(
    program: Program,
    inputs: Sequence[np.ndarray],
    overflows: list[Overflow] | None = None,
) -> list[np.ndarray]:
    """Run a program on integer samples.

    Parameters
    ----------
    program : Program
        What to run.
    inputs : sequence of int64 arrays of shape (N, *S)
        One for each input instruction, in order.
    overflows : list, optional
        Gets an entry for every lookup and output that was left by some sample. A lookup
        saturates then; on encrypted integers the result would be undefined.

    Returns
    -------
    list of int64 arrays of shape (N, *S)
        One for each output.
    """
    results: list[np.ndarray | None] = [None] * len(program.instructions)
    feeds = iter(inputs)
    last = {}
    for position, instruction in enumerate(program.instructions):
        for source in instruction.inputs:
            last[source] = position
    keep = set(program.outputs)
    for position, instruction in enumerate(program.instructions):
        if instruction.opcode is Opcode.INPUT:
            results[position] = np.asarray(next(feeds), dtype=np.int64)
            continue
        arrays = [results[source] for source in instruction.inputs]
        if overflows is not None and instruction.opcode is Opcode.LOOKUP:
            entering = program.instructions[instruction.inputs[0]]
            _note_overflow(entering, instruction.node, arrays[0], overflows)
        results[position] = apply_instruction(instruction, arrays)  # type: ignore[arg-type]
        for source in instruction.inputs:
            if last[source] == position and source not in keep:
                results[source] = None
    if overflows is not None:
        for position in program.outputs:
            instruction = program.instructions[position]
            _note_overflow(instruction, instruction.node, results[position], overflows)
    return [results[position] for position in program.outputs]  # type: ignore[misc]


def _note_overflow(
    source: Instruction, node: str, values: np.ndarray | None, overflows: list[Overflow]
) -> None:
    if values is None or values.size == 0:
        return
    low, high = source.interval.low, source.interval.high
    if int(values.min()) < low or int(values.max()) > high:
        flat = values.reshape(len(values), -1)
        count = int(((flat < low) | (flat > high)).any(axis=1).sum())
        overflows.append(Overflow(node, count, low, high))


def apply_instruction(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Compute one instruction on int64 arrays of shape `(N, *S)`."""
    return _RULES[instruction.opcode](instruction, arrays)


def _add(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    other = arrays[1] if len(arrays) > 1 else instruction.constants["operand"]
    return np.add(arrays[0], other, dtype=np.int64)


def _subtract(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.subtract(arrays[0], arrays[1], dtype=np.int64)


def _multiply(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.multiply(arrays[0], instruction.constants["operand"], dtype=np.int64)


def _is_exact(x: np.ndarray, weight: np.ndarray, terms: int) -> bool:
    if x.size == 0 or weight.size == 0:
        return True
    largest = max(abs(int(x.min())), abs(int(x.max())))
    return largest * max(abs(int(weight.min())), abs(int(weight.max()))) * terms < _EXACT


def _matmul(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    x, weight = arrays[0], instruction.constants["weight"]
    if _is_exact(x, weight, weight.shape[-2]):
        product = np.matmul(x.astype(np.float64), weight.astype(np.float64))
    else:
        product = np.matmul(x.astype(np.int64), weight)
    result: np.ndarray = product.astype(np.int64)
    return result


def _conv(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    x, weight = arrays[0], instruction.constants["weight"]
    terms = int(np.prod(weight.shape[1:], dtype=np.int64))
    kind = np.float64 if _is_exact(x, weight, terms) else np.int64
    # Samples and the program's own leading axis are both image counts to the kernel.
    flat = x.reshape(-1, *x.shape[2:]).astype(kind)
    settings = instruction.attributes
    result = conv_nd(
        flat,
        weight.astype(kind),
        strides=settings["strides"],
        dilations=settings["dilations"],
        group=settings["group"],
    )
    integers: np.ndarray = result.astype(np.int64)
    return integers.reshape(*x.shape[:2], *result.shape[1:])


def _sum(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    axes = tuple(axis + 1 for axis in instruction.attributes["axes"])
    keep = bool(instruction.attributes["keepdims"])
    result: np.ndarray = np.sum(arrays[0], axis=axes, keepdims=keep, dtype=np.int64)
    return result


def _lookup(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    tables = instruction.constants["tables"]
    entry = arrays[0].astype(np.int64) - instruction.attributes["offset"]
    entry >>= instruction.attributes["shift"]
    np.clip(entry, 0, tables.shape[1] - 1, out=entry)
    index = instruction.constants.get("index")
    if index is not None:
        entry += index * tables.shape[1]
    result: np.ndarray = tables.ravel().take(entry)
    return result


def _round(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    lsbs = instruction.attributes["lsbs"]
    rounded: np.ndarray = ((arrays[0].astype(np.int64) + (1 << (lsbs - 1))) >> lsbs) << lsbs
    return rounded


def _reshape(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0].reshape(len(arrays[0]), *instruction.shape)


def _transpose(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0].transpose(0, *(axis + 1 for axis in instruction.attributes["perm"]))


def slices(attributes: Mapping[str, Sequence[int | None]]) -> tuple[slice, ...]:
    """The Python slices of a SLICE instruction."""
    return tuple(map(slice, attributes["starts"], attributes["stops"], attributes["steps"]))


def _slice(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    view: np.ndarray = arrays[0][(slice(None), *slices(instruction.attributes))]
    return view


def _gather(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    flat = arrays[0].reshape(len(arrays[0]), -1)
    result: np.ndarray = flat[:, instruction.constants["index"]]
    return result


def _concat(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays, axis=instruction.attributes["axis"] + 1)


def _broadcast(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    x = arrays[0]
    spare = len(instruction.shape) - (x.ndim - 1)
    lined = x.reshape(len(x), *(1,) * spare, *x.shape[1:])
    return np.broadcast_to(lined, (len(x), *instruction.shape))


def _pad(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    settings = instruction.attributes
    widths = zip(settings["before"], settings["after"], strict=True)
    return np.pad(arrays[0], [(0, 0), *widths])


_RULES: Mapping[Opcode, Callable[[Instruction, Sequence[np.ndarray]], np.ndarray]] = {
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
