"""A quantized model as one ONNX model: floats to integers, the program, integers to floats.

What the client computes is written with the operators and in the precision that it uses,
so that its integers are the same; the model's tail is taken over as it is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import compose, helper, version_converter

from cml_core.errors import ExportError
from cml_core.graph.bound import run_numpy_op
from cml_core.graph.expand import expand
from cml_core.graph.model import TensorSpec
from cml_core.graph.writer import OPSET, GraphWriter, free_prefix
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.program.instructions import Program
from cml_core.program.onnx_export import program_to_onnx, write_program
from cml_core.quantization.client import ClientSide
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.input_output_codes import InputCode, OutputCode

__all__ = ["integers_to_onnx", "module_to_onnx"]

_HINT = (
    'Export the integer program alone (integers=True, --integers), or quantize with tail="server".'
)


def integers_to_onnx(program: Program, client: ClientSide) -> onnx.ModelProto:
    """Return the program alone, its inputs and outputs under the names of the tensors they code."""
    inputs = [code.name + code.suffix for code in client.inputs]
    # An output that is an input as it came needs a name of its own.
    outputs = [
        f"{code.name}_integers" if code.name in inputs else code.name for code in client.outputs
    ]
    return program_to_onnx(program, inputs, outputs)


def module_to_onnx(program: Program, client: ClientSide) -> onnx.ModelProto:
    """Return the whole model, with the inputs and outputs of the float model.

    Raises
    ------
    ExportError
        The client computes the model's tail sample by sample, or it has no form in the opset.
    """
    layout = client.layout
    specs = (*layout.inputs, *layout.outputs)
    writer = GraphWriter(free_prefix([spec.name for spec in specs]))
    exporter = _Exporter(writer, client)
    codes = {code.name: code for code in client.inputs}
    by_name = {spec.name: spec for spec in layout.inputs}
    integers = [exporter.encode(by_name[code.name], code) for code in client.inputs]
    results = write_program(writer, program, integers)
    real = {
        code.name: _Real(exporter.decode(code, result), code.channel.shape)
        for code, result in zip(client.outputs, results, strict=True)
    }
    for name, value in client.clear.items():
        real[name] = _Real(writer.constant(value, value.dtype), value.shape, once=True)
    tail = None
    if client.tail is not None:
        tail = _tail_model(client.tail)
        real |= exporter.run_tail(client.tail, tail, real)
    outputs = exporter.join(real)
    return writer.model(
        [exporter.declare(spec, codes.get(spec.name)) for spec in layout.inputs], outputs, tail
    )


@attrs.frozen(slots=True)
class _Real:
    """Real values: the tensor that holds them for all samples, and the shape of one.

    What the tail gives for a whole batch at once is `joined` already; what depends on no input is
    there `once`.
    """

    tensor: str
    shape: tuple[int, ...]
    joined: bool = False
    once: bool = False


@attrs.frozen(slots=True, eq=False)
class _Exporter:
    """Writes what the client does."""

    writer: GraphWriter
    client: ClientSide

    def _counts(self, spec: TensorSpec, shape: tuple[int, ...]) -> bool:
        """Whether the first axis of a model input counts samples."""
        is_open = spec.has_batch_axis or (spec.shape is None and len(shape) > 0)
        return self.client.layout.batched and is_open

    def declare(self, spec: TensorSpec, code: InputCode | CutCode | None) -> onnx.ValueInfoProto:
        """An input of the model."""
        shape: Any = spec.shape if code is None else code.shape
        if code is not None and self._counts(spec, code.shape):
            shape = (self._symbol, *code.shape[1:])
        return helper.make_tensor_value_info(spec.name, _kind(spec.dtype or np.float32), shape)

    @property
    def _symbol(self) -> str:
        """What the model calls its number of samples."""
        shapes = [spec.shape for spec in self.client.layout.inputs if spec.has_batch_axis]
        names = [shape[0] for shape in shapes if shape and isinstance(shape[0], str)]
        return str(names[0]) if names else "N"

    def _count(self) -> str:
        """The number of samples, as a tensor of one element."""
        for code in self.client.inputs:
            spec = next(s for s in self.client.layout.inputs if s.name == code.name)
            if self._counts(spec, code.shape):
                sizes = self.writer.add("Shape", spec.name)
                return self.writer.add("Gather", sizes, self.writer.constant([0]), axis=0)
        return self.writer.constant([1])

    def repeat(self, tensor: str, shape: tuple[int, ...]) -> str:
        """One sample for all."""
        whole = self.writer.add("Concat", self._count(), self.writer.constant(shape), axis=0)
        return self.writer.add("Expand", tensor, whole)

    def encode(self, spec: TensorSpec, code: InputCode | CutCode) -> str:
        """Integers for the program, as the code's own `encode` finds them."""
        writer = self.writer
        if isinstance(code, CutCode):
            return self._encode_by_cuts(spec, code)
        given = spec.dtype or np.dtype(np.float32)
        dtype = code.precision(given)

        def real(value: float | np.ndarray) -> str:
            # Scales of each element are of the sample's shape, whose batch axis is 1.
            return writer.constant(value, dtype)

        x = spec.name if dtype == given else writer.cast(spec.name, dtype, of=spec.name)
        before, after = code.start
        if code.density is None:
            x = writer.add("Div", x, real(code.scale), of=spec.name)
        else:
            x = writer.add("Mul", x, real(code.density), of=spec.name)
        if np.any(before):
            x = writer.add("Sub", x, real(before), of=spec.name)
        if spec.dtype is None or spec.dtype.kind not in "iub":
            x = writer.add("Where", writer.add("IsNaN", x), real(after), x, of=spec.name)
        x = writer.add("Clip", x, real(after), real(after + code.levels - 1.0), of=spec.name)
        x = writer.add("Round", x, of=spec.name)
        if after:
            x = writer.add("Sub", x, real(after), of=spec.name)
        x = writer.cast(x, np.int64, of=spec.name)
        if self._counts(spec, code.shape):
            return writer.add("Unsqueeze", x, writer.constant([1]))
        return self.repeat(writer.add("Unsqueeze", x, writer.constant([0])), code.shape)

    def _encode_by_cuts(self, spec: TensorSpec, code: CutCode) -> str:
        writer, counts = self.writer, self._counts(spec, code.shape)
        x = writer.cast(spec.name, np.float64, of=spec.name)
        size = [-1 if counts else 1, math.prod(code.shape)]
        x = writer.add("Reshape", x, writer.constant(size))
        x = writer.add("Gather", x, writer.constant(code.element), axis=1, of=spec.name)
        q = writer.add("Greater", x, writer.constant(code.cuts, np.float64), of=spec.name)
        if code.form == "bins":
            q = writer.cast(q, np.float32, of=spec.name)
            q = writer.add("MatMul", q, writer.constant(code.owner, np.float32), of=spec.name)
        if code.low_bits is not None:
            q = writer.add("Mod", writer.cast(q, np.int64), writer.constant(2**code.low_bits))
        q = writer.cast(q, np.int64, of=spec.name)
        return q if counts else self.repeat(q, code.size)

    def decode(self, code: OutputCode, q: str) -> str:
        """Real values, as `OutputCode.decode` finds them."""
        writer = self.writer
        if code.digits is not None:
            worth = code.digits.reshape(-1, *(1,) * code.channel.ndim)
            q = writer.add("Mul", writer.cast(q, np.int64), writer.constant(worth), of=code.name)
            q = writer.add("ReduceSum", q, writer.constant([1]), keepdims=0)
        if code.table is not None:
            levels = code.table.shape[1]
            q = writer.add("Sub", q, writer.constant(code.low), of=code.name)
            ends = writer.constant(0), writer.constant(levels - 1)
            q = writer.add("Clip", q, *ends, of=code.name)
            q = writer.add("Add", q, writer.constant(code.channel * levels), of=code.name)
            flat = writer.constant(code.table.reshape(-1), np.float64)
            x = writer.add("Gather", flat, q, of=code.name)
        else:
            assert code.scale is not None and code.offset is not None
            scale = writer.constant(code.scale[code.channel], np.float64)
            offset = writer.constant(code.offset[code.channel], np.float64)
            x = writer.add("Mul", writer.cast(q, np.float64), scale, of=code.name)
            x = writer.add("Add", x, offset, of=code.name)
        if code.dtype.kind in "iu":
            x = writer.add("Round", x, of=code.name)
        return writer.cast(x, code.dtype, of=code.name)

    def run_tail(
        self, tail: NumpyModule, model: onnx.ModelProto, real: Mapping[str, _Real]
    ) -> dict[str, _Real]:
        """The tail on all samples at once, or on the one that there is."""
        batched = self.client.layout.batched
        inputs = [value.name for value in model.graph.input]
        shapes = {name: real[name].shape for name in inputs}
        if not batched:
            made: dict[str, tuple[int, ...]] | None = {}
        else:
            made = _shapes_of_batch(tail, shapes) if self.client.tail_takes_batches else None
        if made is None:
            raise ExportError("its tail cannot be computed on all samples at once", _HINT)
        prefix = f"{self.writer.prefix}tail/"
        graph = onnx.GraphProto()
        graph.CopyFrom(model.graph)
        compose.add_prefix_graph(graph, prefix, rename_nodes=False, inplace=True)
        axis = self.writer.constant([1 if batched else 0])
        for name in inputs:
            self.writer.add("Squeeze", real[name].tensor, axis, name=prefix + name)
        self.writer.nodes.extend(graph.node)
        self.writer.constants.extend(graph.initializer)
        return {
            value.name: _Real(prefix + value.name, made.get(value.name, ()), joined=True)
            for value in model.graph.output
        }

    def join(self, real: Mapping[str, _Real]) -> list[onnx.ValueInfoProto]:
        """The model's outputs, along the axes that the layout gives them."""
        once, twice = self._outputs_for(1), self._outputs_for(2)
        declared = []
        given = {spec.name for spec in self.client.layout.inputs}
        for spec in self.client.layout.outputs:
            if spec.name in given:
                raise ExportError(f"its output {spec.name!r} has the name of an input", _HINT)
            array, value = once[spec.name], real[spec.name]
            axis = None
            if self.client.layout.batched:
                pairs = zip(array.shape, twice[spec.name].shape, strict=True)
                axis = next((k for k, (one, two) in enumerate(pairs) if one != two), None)
            tensor = self._joined(value, axis)
            if array.dtype == object and not all(isinstance(v, str) for v in array.flat):
                raise ExportError(f"its output {spec.name!r} holds maps", _HINT)
            if array.dtype.kind in "iufb":
                self.writer.cast(tensor, array.dtype, name=spec.name)
            else:
                self.writer.add("Identity", tensor, name=spec.name)
            sizes: list[Any] = list(array.shape)
            if value.joined:
                # What the tail makes of zeros need not have the size that it has of others.
                sizes = list(spec.shape or [f"{spec.name}_{k}" for k in range(array.ndim)])
            if axis is not None:
                sizes[axis] = self._symbol if array.shape[axis] == 1 else f"{spec.name}_{axis}"
            declared.append(helper.make_tensor_value_info(spec.name, _kind(array.dtype), sizes))
        return declared

    def _joined(self, value: _Real, axis: int | None) -> str:
        tensor, shape = value.tensor, value.shape
        if value.once:
            if axis is None:
                return tensor
            tensor = self.repeat(tensor, shape)
        if not self.client.layout.batched:
            first = self.writer.constant([0])
            return tensor if value.joined else self.writer.add("Squeeze", tensor, first)
        if value.joined and (axis == 0 or not shape):
            return tensor
        if value.joined:
            tensor = self.writer.add("Unsqueeze", tensor, self.writer.constant([1]))
        if axis is None:
            return self.writer.add("Gather", tensor, self.writer.constant(0), axis=0)
        order = list(range(1, len(shape) + 1))
        order.insert(axis, 0)
        if axis:
            tensor = self.writer.add("Transpose", tensor, perm=order)
        whole = [*shape[:axis], -1, *shape[axis + 1 :]]
        return self.writer.add("Reshape", tensor, self.writer.constant(whole))

    def _outputs_for(self, count: int) -> dict[str, np.ndarray]:
        """What the client makes of so many samples; its shapes and dtypes are of interest."""
        zeros = [np.zeros((count, *code.size), dtype=np.int64) for code in self.client.outputs]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.client.decode(zeros, count)


def _kind(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _shapes_of_batch(
    tail: NumpyModule, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]] | None:
    """Shapes of one sample of what the tail makes of several at once; None if it cannot."""
    if any(spec.shape is not None for spec in tail.inputs):
        return None
    if not all(shape and shape[0] == 1 for shape in shapes.values()):
        return None
    count = 11  # Hardly the size of another axis.
    dtypes = {spec.name: spec.dtype or np.dtype(np.float32) for spec in tail.inputs}
    feeds = {n: np.zeros((count, *shape[1:]), dtypes[n]) for n, shape in shapes.items()}
    wanted = [spec.name for spec in tail.outputs]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {**tail.graph.constants, **feeds}
        results = interpret(tail.graph.nodes, values, wanted, run_numpy_op)
    if not all(np.ndim(results[n]) >= 1 and len(results[n]) == count for n in wanted):
        return None
    return {n: (1, *results[n].shape[1:]) for n in wanted}


def _tail_model(tail: NumpyModule) -> onnx.ModelProto:
    """The tail in an opset that the exporter writes."""
    model = expand(tail.graph, every=True) or tail.onnx_model
    for node in model.graph.node:
        if not onnx.defs.has(node.op_type, node.domain) and not model.functions:
            what = f"{node.op_type} of domain {node.domain}"
            raise ExportError(f"its tail has an operator that is not in ONNX, {what}", _HINT)
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if version is None or version >= OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:
        reason = f"its tail cannot be brought from opset {version} to {OPSET}: {error}"
        raise ExportError(reason, _HINT) from error
