"""Lowering: the calibrated graph becomes an integer program.

The same loop as for float execution walks the graph; at each node it either computes (all inputs
clear) or asks the operator's quantized implementation for instructions.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx

from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import CmlError, QuantizationError, UnsupportedNodesError
from cml_core.graph.bound import BoundGraph, BoundNode, outputs_of, run_numpy_op
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.ops.schema import OpKind
from cml_core.plugins.registry import OpRegistry
from cml_core.program.instructions import Program
from cml_core.quantization.batching import output_batch_axes
from cml_core.quantization.builder import ProgramBuilder
from cml_core.quantization.client import ClientSide
from cml_core.quantization.config import NodeConfig, QuantConfig
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.diagnosis import Diagnosis, count_overflows, noise_of
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.ends import decoded_output, encrypted_input
from cml_core.quantization.input_output_codes import InputCode
from cml_core.quantization.reference import FloatReference
from cml_core.quantization.tail import Split, extract_tail, split_tail
from cml_core.quantization.unquantized import find_unquantized
from cml_core.samples import SampleLayout, count_samples

__all__ = ["Lowered", "lower"]

#: Samples of which the tail is tried at once and one by one.
_EXAMINED = 8


@attrs.frozen(slots=True, eq=False)
class Lowered:
    """What lowering gives: the server's program, the client's side of it, and what was measured."""

    program: Program
    client: ClientSide
    diagnosis: Diagnosis


def lower(module: NumpyModule, stats: CalibrationStats, config: QuantConfig) -> Lowered:
    """Lower a calibrated model to an integer program.

    Raises
    ------
    UnsupportedNodesError
        Nodes that must be computed on encrypted data have no quantized form; all are listed.
    QuantizationError
        A node cannot be lowered.
    """
    graph = module.graph
    split = split_tail(graph, client_tail=config.tail == "client")
    missing = find_unquantized(graph, split)
    if missing:
        raise UnsupportedNodesError(graph.graph.source, missing, stage="quantized")
    samples = stats.samples
    batch_axes = output_batch_axes(module, samples)
    builder = ProgramBuilder(
        count_samples(samples), proven=config.ranges == "proven", margin=config.margin
    )
    values: dict[str, Any] = dict(graph.constants)
    codes: list[InputCode | CutCode] = []
    for spec in graph.inputs:
        code, tensor = encrypted_input(builder, stats, config, spec)
        codes += code
        values[spec.name] = tensor

    made: list[EncryptedTensor] = []
    before_lookups = _before_lookups(split)
    lookup_bits = _lookup_bits(split, config)
    reference = FloatReference.of(graph, samples)
    readers = Counter(name for bound in split.server for name in set(bound.node.inputs))

    def evaluate(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        if not any(isinstance(t, EncryptedTensor) for t in tensors):
            return run_numpy_op(bound, tensors)
        builder.node = bound.name
        ctx = LoweringContext(
            builder,
            stats,
            config,
            bound,
            feeds_lookup=bound.name in before_lookups,
            lookup_bits=lookup_bits.get(bound.name),
            reference=reference,
            readers=readers,
        )
        lowered = _lower_node(ctx, tensors)
        made.extend(result for result in lowered if isinstance(result, EncryptedTensor))
        return lowered

    used_by_tail = {name for bound in split.tail for name in bound.node.inputs if name}
    made_by_tail = {name for bound in split.tail for name in bound.node.outputs}
    wanted = ({spec.name for spec in graph.outputs} | used_by_tail) - made_by_tail
    results = interpret(split.server, values, sorted(wanted), evaluate)

    outputs, registers = [], []
    for name in split.boundary:
        result = results[name]
        if not isinstance(result, EncryptedTensor):
            continue
        bound = _maker(graph, name)
        builder.node = bound.name if bound else ""
        register, output = decoded_output(builder, stats, config, bound, result, name)
        registers.append(register)
        outputs.append(output)
    clear = {n: np.asarray(v) for n, v in results.items() if not isinstance(v, EncryptedTensor)}
    clear = {**graph.constants, **clear}
    encrypted = {output.name: output.dtype for output in outputs}
    tail = None
    if split.tail:
        shapes = {out.name: out.channel.shape for out in outputs} if split.takes_shapes else {}
        tail = _bind_tail(extract_tail(graph, split.tail, encrypted, clear, shapes), split)
    kept = {n: clear[n] for n in clear if n in {spec.name for spec in graph.outputs}}
    layout = SampleLayout(graph.inputs, graph.outputs, batch_axes)
    program, sent = _without_unread(builder.program(registers), codes)
    client = ClientSide(layout, sent, tuple(outputs), tail, kept)
    if tail is not None:
        client = client.with_tail_examined(_fed(graph, layout, samples, tail))
    made.extend(result for _, result in builder.lookups.values())
    noise = noise_of(reference, made)
    return Lowered(program, client, Diagnosis(noise, *count_overflows(program, client, samples)))


def _fed(
    graph: BoundGraph, layout: SampleLayout, samples: Mapping[str, np.ndarray], tail: NumpyModule
) -> dict[str, np.ndarray]:
    """What the float model feeds the tail with, for a few samples, one at a time."""
    names = [spec.name for spec in tail.inputs]
    few = {name: array[:_EXAMINED] for name, array in samples.items()}
    each = [
        interpret(graph.nodes, {**graph.constants, **feeds}, names, run_numpy_op)
        for feeds in layout.batches(few, 1)
    ]
    return {name: np.stack([one[name] for one in each]) for name in names}


def _without_unread(
    program: Program, codes: Sequence[InputCode | CutCode]
) -> tuple[Program, tuple[InputCode | CutCode, ...]]:
    """Leave out inputs that nothing is computed of; if that would be all of them, none."""
    read = {source for i in program.instructions for source in i.inputs} | set(program.outputs)
    kept = [place for place, position in enumerate(program.inputs) if position in read]
    if not kept:
        return program, tuple(codes)
    positions = [program.inputs[place] for place in kept]
    return program.pruned(positions), tuple(codes[place] for place in kept)


def _before_lookups(split: Split) -> set[str]:
    """Nodes of the server's part that something nonlinear follows there."""
    found: set[str] = set()
    needed: set[str] = set()
    for bound in reversed(split.server):
        if needed.intersection(bound.node.outputs):
            found.add(bound.name)
        linear = bound.plugin.schema.kind in (OpKind.LINEAR, OpKind.MOVEMENT, OpKind.SHAPE)
        if bound.name in found or not linear:
            needed.update(bound.node.inputs)
    return found


def _lookup_bits(split: Split, config: QuantConfig) -> dict[str, NodeConfig]:
    """The bits in force where the result of each node will be looked up.

    A lookup happens when a node asks for its inputs on a grid, with that node's bits. What only
    moves elements, or has one encrypted operand, asks for nothing and passes its readers' bits on.
    """
    asked: dict[str, NodeConfig] = {}
    found: dict[str, NodeConfig] = {}
    for bound in reversed(split.server):
        behind = [asked[name] for name in bound.node.outputs if name in asked]
        if behind:
            found[bound.name] = functools.reduce(NodeConfig.narrower, behind)
        operands = [name for name in bound.node.inputs if name in split.encrypted]
        kind = bound.plugin.schema.kind
        passes = kind in (OpKind.MOVEMENT, OpKind.SHAPE) or (
            kind is OpKind.ELEMENTWISE and len(operands) <= 1
        )
        wanted = found.get(bound.name) if passes else config.of_node(bound.name)
        if wanted is not None:
            for name in operands:
                asked[name] = wanted.narrower(asked.get(name, wanted))
    return found


def _lower_node(ctx: LoweringContext, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    bound = ctx.bound
    try:
        results = outputs_of(bound, bound.plugin.quantized_op(ctx, *tensors, **bound.attributes))
    except (QuantizationError, UnsupportedNodesError):
        raise
    except CmlError as error:
        if type(error).__module__ != "cml_core.errors" or _has_node(error):
            raise
        ctx.refuse(error.message().rstrip("."))
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        raise QuantizationError(bound.name, bound.key.op_type, reason) from error
    return tuple(
        result.named(name, bound.name) if isinstance(result, EncryptedTensor) else result
        for name, result in zip(bound.node.outputs, results, strict=False)
    )


def _has_node(error: CmlError) -> bool:
    return any(hasattr(error, field) for field in ("node", "lookups"))


def _maker(graph: BoundGraph, name: str) -> BoundNode | None:
    return next((bound for bound in graph.nodes if name in bound.node.outputs), None)


def _bind_tail(model: onnx.ModelProto, split: Split) -> NumpyModule:
    """Bind the tail to the very plugins that the model was bound to."""
    nodes = [inner for bound in split.tail for inner in (bound, *bound.within())]
    ops = {bound.key: bound.registered for bound in nodes}
    return NumpyModule.from_onnx(model, registry=OpRegistry(ops))
