"""Lowering: the calibrated graph becomes an integer program.

The same loop as for float execution walks the graph; at each node it either computes (all inputs
clear) or asks the operator's quantized implementation for instructions.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import attrs
import numpy as np
import onnx

from cml_core.calibration.observers import channel_ranges
from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import CmlError, QuantizationError, UnsupportedNode, UnsupportedNodesError
from cml_core.graph.bind import BoundGraph, BoundNode, run_numpy_op
from cml_core.graph.model import TensorSpec
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.ops.schema import OpKind
from cml_core.plugins.registry import OpRegistry
from cml_core.program.instructions import Interval, Program
from cml_core.quantization.affine import affine_parameters
from cml_core.quantization.batching import output_batch_axes
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.client import ClientSide, InputCode, OutputCode
from cml_core.quantization.config import NodeConfig, QuantConfig
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import cut_input, uniform_cuts
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.diagnosis import Diagnosis, count_overflows, noise_of
from cml_core.quantization.encrypted import Decode, EncryptedTensor
from cml_core.quantization.grid import requantize
from cml_core.quantization.reference import FloatReference
from cml_core.quantization.settling import rounded, settle
from cml_core.quantization.tail import Split, extract_tail, split_tail
from cml_core.samples import SampleLayout, count_samples

__all__ = ["Lowered", "find_unquantized", "lower"]

#: Largest table that the client decodes an output with, in entries; beyond, the server requantizes.
_CLIENT_TABLE = 2**20
#: Bits from which on the steps of an element of an input are fine enough to leave room at both
#: ends of its range: one of many is easily outside of what calibration saw.
_ROOMY = 8


@attrs.frozen(slots=True, eq=False)
class Lowered:
    """What lowering gives: the server's program, the client's side of it, and what was measured."""

    program: Program
    client: ClientSide
    diagnosis: Diagnosis


def find_unquantized(graph: BoundGraph, split: Split) -> tuple[UnsupportedNode, ...]:
    """Every node of the server's part that has no quantized implementation."""
    return tuple(
        UnsupportedNode(
            bound.name,
            bound.key.domain,
            bound.key.op_type,
            f"plugin {bound.registered.name!r} provides it in float only",
            "Only what follows the model's last linear operation may stay in float."
            if bound.plugin.tail
            else "Replace it in the model, or install a plugin with a quantized form.",
        )
        for bound in split.server
        if not bound.plugin.quantized and split.encrypted.intersection(bound.node.outputs)
    )


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
        code, tensor = _input(builder, stats, config, spec)
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
        register, output = _output(builder, stats, config, bound, result, name)
        registers.append(register)
        outputs.append(output)
    clear = {n: np.asarray(v) for n, v in results.items() if not isinstance(v, EncryptedTensor)}
    clear = {**graph.constants, **clear}
    encrypted = {output.name: output.dtype for output in outputs}
    tail = None
    if split.tail:
        tail = _bind_tail(extract_tail(graph, split.tail, encrypted, clear), split)
    kept = {n: clear[n] for n in clear if n in {spec.name for spec in graph.outputs}}
    layout = SampleLayout(graph.inputs, graph.outputs, batch_axes)
    client = ClientSide(layout, tuple(codes), tuple(outputs), tail, kept)
    program = builder.program(registers)
    made.extend(result for _, result in builder.lookups.values())
    noise = noise_of(reference, made)
    return Lowered(program, client, Diagnosis(noise, *count_overflows(program, client, samples)))


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
        results = tuple(bound.plugin.quantized_op(ctx, *tensors, **bound.attributes))
    except (QuantizationError, UnsupportedNodesError):
        raise
    except CmlError as error:
        if type(error).__module__ != "cml_core.errors" or _has_node(error):
            raise
        ctx.refuse(error.message().rstrip("."))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        raise QuantizationError(bound.name, bound.key.op_type, reason) from error
    return tuple(
        result.named(name, bound.name) if isinstance(result, EncryptedTensor) else result
        for name, result in zip(bound.node.outputs, results, strict=False)
    )


def _has_node(error: CmlError) -> bool:
    return any(hasattr(error, field) for field in ("node", "lookups"))


def _input(
    builder: ProgramBuilder, stats: CalibrationStats, config: QuantConfig, spec: TensorSpec
) -> tuple[tuple[InputCode | CutCode, ...], EncryptedTensor]:
    """Put a model input on its grid, zero exact if it is in the range.

    A grid that all its readers proposed counts more than the width that the user chose. Where
    they only ask on which side of some cuts it lies, it is encrypted by these.
    """
    samples = stats.samples[spec.name]
    cuts = stats.cuts.get(spec.name)
    dtype = spec.dtype or samples.dtype
    builder.node = spec.name
    if cuts is not None:
        form = config.thresholds
        asked = cuts
        if form == "uniform":
            cuts, form = uniform_cuts(samples, config.input_bits), "bins"
        by_cuts, tensor = cut_input(builder, spec.name, samples, cuts, form, dtype, asked)
        return by_cuts, tensor.named(spec.name, spec.name)
    known = stats.ranges[spec.name]
    low, high = known.low, known.high
    top = 2**config.input_bits - 1
    grid = stats.grids.get(spec.name)
    proposed = grid is not None and grid.levels > 1
    if grid is not None and proposed:
        code = InputCode(
            spec.name, samples.shape[1:], grid.scale, grid.offset, grid.levels, grid.clips
        )
    elif dtype.kind in "iub" and high - low <= top:
        code = InputCode(spec.name, samples.shape[1:], 1.0, low, int(high - low) + 1)
    elif config.input_scales == "each" and low < high:
        scales, offsets = _scales_of_elements(samples, config)
        # Other observers leave out the ends of what they see, which then are to saturate.
        clips = config.observer != "minmax"
        code = InputCode(spec.name, samples.shape[1:], scales, offsets, top + 1, (clips, clips))
    elif not low < high:
        code = InputCode(spec.name, samples.shape[1:], abs(low) or 1.0, min(low, 0.0), 2)
    else:
        scale = (high - low) / top
        if low <= 0.0 <= high:
            low = -scale * round(-low / scale)
        code = InputCode(spec.name, samples.shape[1:], scale, low, top + 1)
    integers = code.encode(samples)[0].astype(np.int64)
    register = builder.input(spec.name, integers, Interval(0, code.levels - 1))
    tensor = EncryptedTensor.on_grid(register, code.scale, code.offset, dtype)
    if grid is not None and proposed:
        tensor = tensor.kept_on(grid.scale, grid.offset, grid.levels)
    return (code,), tensor.named(spec.name, spec.name)


def _scales_of_elements(samples: np.ndarray, config: QuantConfig) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of each element of an input of samples `(N, *S)`."""
    values = samples.reshape(len(samples), -1).T
    low, high = channel_ranges(values, config.observer, config.input_bits)
    if config.input_bits >= _ROOMY:
        room = config.margin * (high - low)
        low, high = low - room, high + room
    scale = (high - low) / (2**config.input_bits - 1)
    # An element that never changed may yet; by how much, the others say.
    scale = np.where(scale > 0, scale, scale.max())
    zero = (low <= 0.0) & (high >= 0.0)
    low = np.where(zero, -scale * np.rint(-low / scale), low)
    return scale.reshape(samples.shape[1:]), low.reshape(samples.shape[1:])


def _output(
    builder: ProgramBuilder,
    stats: CalibrationStats,
    config: QuantConfig,
    bound: BoundNode | None,
    tensor: EncryptedTensor,
    name: str,
) -> tuple[Register, OutputCode]:
    """Say how the client decodes a result; requantize it on the server where it cannot."""
    parameters = affine_parameters(tensor)
    interval = tensor.register.interval
    levels = interval.high - interval.low + 1
    too_large = levels * tensor.decode.channels > _CLIENT_TABLE
    if parameters is None and bound is not None and (config.tail == "server" or too_large):
        ctx = LoweringContext(builder, stats, config, bound)
        tensor = requantize(ctx, tensor, bits=config.output_bits)
        parameters = affine_parameters(tensor)
    if parameters is not None and bound is not None and not tensor.register.packed:
        tensor = _narrowed(builder, stats, config, bound, tensor)
        parameters = affine_parameters(tensor)
    if parameters is not None:
        scale, offset = parameters
        code = OutputCode(name, tensor.dtype, tensor.channel, scale, offset)
    else:
        interval = tensor.register.interval
        table = _table(tensor.decode, interval)
        code = OutputCode(name, tensor.dtype, tensor.channel, table=table, low=interval.low)
    return tensor.register, code


def _narrowed(
    builder: ProgramBuilder,
    stats: CalibrationStats,
    config: QuantConfig,
    bound: BoundNode,
    tensor: EncryptedTensor,
) -> EncryptedTensor:
    """Round the low bits of a result away, as the client will not read them."""
    if config.reads is None or tensor.register.interval.width <= config.reads:
        return tensor
    reading = attrs.evolve(config, rounding_bits=config.reads, nodes={})
    ctx = LoweringContext(builder, stats, reading, bound)
    settled, shift = settle(ctx, tensor)
    return attrs.evolve(settled, register=rounded(ctx, settled.register, shift))


def _table(decode: Decode, interval: Interval) -> np.ndarray:
    q = np.arange(interval.low, interval.high + 1)
    return decode(q[np.newaxis], np.arange(decode.channels)[:, np.newaxis]).astype(np.float64)


def _maker(graph: BoundGraph, name: str) -> BoundNode | None:
    return next((bound for bound in graph.nodes if name in bound.node.outputs), None)


def _bind_tail(model: onnx.ModelProto, split: Split) -> NumpyModule:
    """Bind the tail to the very plugins that the model was bound to."""
    ops = {bound.key: bound.registered for bound in split.tail}
    return NumpyModule.from_onnx(model, registry=OpRegistry(ops))
