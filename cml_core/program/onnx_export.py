"""Integer programs as ONNX models of standard integer operators and table gathers.

Every tensor has the samples on its first axis. Inside, integers are int32 where all of them are
proven to fit, else int64; the model's own inputs and outputs are int64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import TensorProto, helper

from cml_core.graph.writer import GraphWriter, free_prefix
from cml_core.program.instructions import Instruction, Opcode, Program
from cml_core.program.kernels import window_view
from cml_core.program.rules import program_reach, slices

__all__ = ["program_to_onnx", "write_program"]


def program_to_onnx(
    program: Program, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> onnx.ModelProto:
    """Return a program as an ONNX model that computes the same integers as `execute`.

    Parameters
    ----------
    program : Program
        The program. Its integers are the same for inputs inside their intervals.
    inputs, outputs : sequence of str
        Names for its inputs and outputs, by default those of input instructions and `output0`
        and so on.

    Returns
    -------
    onnx.ModelProto
        Inputs and outputs are int64 tensors of shape `(N, *S)`.
    """
    found = [program.instructions[position] for position in program.inputs]
    inputs = inputs or [str(instruction.attributes["name"]) for instruction in found]
    outputs = outputs or [f"output{place}" for place in range(len(program.outputs))]
    writer = GraphWriter(free_prefix([*inputs, *outputs]))
    results = write_program(writer, program, inputs)
    for name, result in zip(outputs, results, strict=True):
        writer.add("Identity", result, name=name)
    made = [program.instructions[position] for position in program.outputs]
    return writer.model(_values(inputs, found), _values(outputs, made))


def _values(names: Sequence[str], instructions: Sequence[Instruction]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["N", *instruction.shape])
        for name, instruction in zip(names, instructions, strict=True)
    ]


def write_program(writer: GraphWriter, program: Program, inputs: Sequence[str]) -> list[str]:
    """Write a program's instructions, and return the names of its int64 results.

    Parameters
    ----------
    writer : GraphWriter
        Where to.
    program : Program
        What.
    inputs : sequence of str
        Its int64 inputs of shape `(N, *S)`.
    """
    dtype = np.dtype(np.int32 if program_reach(program) < 2**31 else np.int64)
    feeds = iter(inputs)
    names: list[str] = []
    for instruction in program.instructions:
        if instruction.opcode is Opcode.INPUT:
            names.append(writer.cast(next(feeds), dtype, of=instruction.node))
            continue
        sources = [program.instructions[source].shape for source in instruction.inputs]
        scribe = _Scribe(writer, instruction, dtype, sources[0])
        names.append(_RULES[instruction.opcode](scribe, *(names[i] for i in instruction.inputs)))
    nodes = [program.instructions[position].node for position in program.outputs]
    return [
        writer.cast(names[position], np.int64, of=node)
        for position, node in zip(program.outputs, nodes, strict=True)
    ]


@attrs.frozen(slots=True, eq=False)
class _Scribe:
    """Writes one instruction: its nodes bear its node's name, its constants the program's dtype."""

    writer: GraphWriter
    instruction: Instruction
    dtype: np.dtype[Any]
    source: tuple[int, ...]

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self.writer.add(op_type, *inputs, of=self.instruction.node, **attributes)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        return self.writer.reshape(x, shape, of=self.instruction.node)

    def number(self, value: Any) -> str:
        return self.writer.constant(value, self.dtype)

    def sizes(self, value: Any) -> str:
        return self.writer.constant(value, np.int64)

    def flat(self, x: str) -> str:
        return x if len(self.source) == 1 else self.reshape(x, (math.prod(self.source),))

    def __getitem__(self, attribute: str) -> Any:
        return self.instruction.attributes[attribute]


def _binary(op_type: str) -> Callable[..., str]:
    def rule(s: _Scribe, x: str, y: str = "") -> str:
        return s.add(op_type, x, y or s.number(next(iter(s.instruction.constants.values()))))

    return rule


def _conv(s: _Scribe, x: str) -> str:
    """Gather the pixels under each place of the kernel, then one product."""
    weight = s.instruction.constants["weight"]
    group, kernel = int(s["group"]), weight.shape[2:]
    count, *image = s.source
    pixels = np.arange(math.prod(s.source)).reshape(s.source)
    windows = window_view(pixels, kernel, s["strides"], s["dilations"])
    rank, out = len(kernel), windows.shape[2 : 2 + len(kernel)]
    grouped = windows.reshape(count, group, image[0] // group, *out, *kernel)
    order = (0, 1, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
    depth = math.prod(weight.shape[1:])
    index = grouped.transpose(order).reshape(count, group, math.prod(out), depth)
    filters = weight.reshape(group, -1, depth).transpose(0, 2, 1)
    under = s.add("Gather", s.flat(x), s.sizes(index), axis=1)
    product = s.add("MatMul", under, s.number(filters))
    turned = s.add("Transpose", product, perm=[0, 1, 2, 4, 3])
    return s.reshape(turned, s.instruction.shape)


def _sum(s: _Scribe, x: str) -> str:
    axes = s.sizes([axis + 1 for axis in s["axes"]])
    return s.add("ReduceSum", x, axes, keepdims=int(s["keepdims"]), noop_with_empty_axes=1)


def _lookup(s: _Scribe, x: str) -> str:
    """Clip first, then divide: of what is not negative, the quotient is the shift."""
    tables, index = s.instruction.constants["tables"], s.instruction.constants.get("index")
    levels, step = tables.shape[1], 1 << int(s["shift"])
    if s["offset"]:
        x = s.add("Sub", x, s.number(s["offset"]))
    x = s.add("Clip", x, s.number(0), s.number(levels * step - 1))
    if step > 1:
        x = s.add("Div", x, s.number(step))
    if index is not None:
        x = s.add("Add", x, s.number(index * levels))
    return s.add("Gather", s.number(tables.reshape(-1)), x, axis=0)


def _round(s: _Scribe, x: str) -> str:
    """Take away the remainder, which has the sign of the divisor."""
    step = 1 << int(s["lsbs"])
    moved = s.add("Add", x, s.number(step // 2))
    return s.add("Sub", moved, s.add("Mod", moved, s.number(step)))


def _transpose(s: _Scribe, x: str) -> str:
    return s.add("Transpose", x, perm=[0, *(axis + 1 for axis in s["perm"])])


def _slice(s: _Scribe, x: str) -> str:
    cuts = slices(s.instruction.attributes)
    found = [cut.indices(size) for cut, size in zip(cuts, s.source, strict=True)]
    # Before the first element lies -1, which ONNX would take for the last one.
    stops = [np.iinfo(np.int64).min if stop < 0 else stop for _, stop, _ in found]
    columns = [start for start, _, _ in found], stops, range(1, len(found) + 1)
    steps = [step for _, _, step in found]
    return s.add("Slice", x, *(s.sizes(list(column)) for column in (*columns, steps)))


def _gather(s: _Scribe, x: str) -> str:
    return s.add("Gather", s.flat(x), s.sizes(s.instruction.constants["index"]), axis=1)


def _concat(s: _Scribe, *parts: str) -> str:
    return s.add("Concat", *parts, axis=s["axis"] + 1)


def _broadcast(s: _Scribe, x: str) -> str:
    shape = s.instruction.shape
    lined = (1,) * (len(shape) - len(s.source)) + s.source
    x = x if lined == s.source else s.reshape(x, lined)
    return s.add("Expand", x, s.sizes([1, *shape]))


def _pad(s: _Scribe, x: str) -> str:
    return s.add("Pad", x, s.sizes([0, *s["before"], 0, *s["after"]]), s.number(0))


_RULES: Mapping[Opcode, Callable[..., str]] = {
    Opcode.ADD: _binary("Add"),
    Opcode.SUBTRACT: _binary("Sub"),
    Opcode.MULTIPLY: _binary("Mul"),
    Opcode.MATMUL: _binary("MatMul"),
    Opcode.CONV: _conv,
    Opcode.SUM: _sum,
    Opcode.LOOKUP: _lookup,
    Opcode.ROUND: _round,
    Opcode.RESHAPE: lambda s, x: s.reshape(x, s.instruction.shape),
    Opcode.TRANSPOSE: _transpose,
    Opcode.SLICE: _slice,
    Opcode.GATHER: _gather,
    Opcode.CONCAT: _concat,
    Opcode.BROADCAST: _broadcast,
    Opcode.PAD: _pad,
}
