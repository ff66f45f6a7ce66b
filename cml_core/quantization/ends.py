"""Both ends of a program: how the client encrypts inputs and decodes results."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.calibration.observers import channel_ranges
from cml_core.calibration.stats import CalibrationStats
from cml_core.graph.bound import BoundNode
from cml_core.graph.model import TensorSpec
from cml_core.program.instructions import Interval
from cml_core.quantization.affine import affine_parameters
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import cut_input, uniform_cuts
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.digits import in_digits
from cml_core.quantization.encrypted import Decode, EncryptedTensor
from cml_core.quantization.grid import requantize
from cml_core.quantization.input_output_codes import InputCode, OutputCode
from cml_core.quantization.settling import rounded, settle

__all__ = ["decoded_output", "encrypted_input"]

#: Largest table that the client decodes an output with, in entries; beyond, the server requantizes.
_CLIENT_TABLE = 2**20
#: Bits from which on the steps of an element of an input are fine enough to leave room at both
#: ends of its range: one of many is easily outside of what calibration saw.
_ROOMY = 8
#: How far from a whole number of steps an offset may be to count as one, relatively.
_WHOLE = 1e-12


def encrypted_input(
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
    each = _codes_of_elements(spec.name, samples, config)
    if grid is not None and proposed:
        code = InputCode(
            spec.name, samples.shape[1:], grid.scale, grid.offset, grid.levels, grid.clips
        )
    elif dtype.kind in "iub" and high - low <= top:
        code = InputCode(spec.name, samples.shape[1:], 1.0, low, int(high - low) + 1)
    elif each is not None and low < high:
        code = each
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


def _codes_of_elements(name: str, samples: np.ndarray, config: QuantConfig) -> InputCode | None:
    """Give each element of an input of samples `(N, *S)` a scale; None if none is asked for.

    Nor are there any if no element ever changes.
    """
    if config.input_scales != "each" or not samples.size:
        return None
    values = samples.reshape(len(samples), -1).T
    low, high = channel_ranges(values, config.observer, config.input_bits)
    if config.input_bits >= _ROOMY:
        room = config.margin * (high - low)
        low, high = low - room, high + room
    levels = 2**config.input_bits
    scale = (high - low) / (levels - 1)
    if not scale.any():
        return None
    # An element that never changed may yet; by how much, the others say.
    scale = np.where(scale > 0, scale, scale.max())
    zero = (low <= 0.0) & (high >= 0.0)
    low = np.where(zero, -scale * np.rint(-low / scale), low)
    scale, low = scale.reshape(samples.shape[1:]), low.reshape(samples.shape[1:])
    # Other observers leave out the ends of what they see, which then are to saturate.
    clips = config.observer != "minmax"
    return InputCode(name, samples.shape[1:], scale, low, levels, (clips, clips))


def decoded_output(
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
    divided = in_digits(builder, tensor.register, config.reads)
    narrow = divided is None and bound is not None and not tensor.register.packed
    if parameters is not None and bound is not None and narrow:
        tensor = _narrowed(builder, stats, config, bound, tensor)
        parameters = affine_parameters(tensor)
    if parameters is not None:
        scale, offset = parameters
        code = OutputCode(name, tensor.dtype, tensor.channel, scale, _whole(offset, scale))
    else:
        interval = tensor.register.interval
        table = _table(tensor.decode, interval)
        code = OutputCode(name, tensor.dtype, tensor.channel, table=table, low=interval.low)
    if divided is None:
        return tensor.register, code
    return divided.register, attrs.evolve(code, digits=divided.worth)


def _whole(offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Make offsets whole steps where they are so but for float64's rounding.

    An integer then decodes to zero itself, and not to just below, of which the client could not
    take a root or a logarithm.
    """
    steps = np.divide(offset, scale, out=np.zeros_like(offset), where=scale != 0)
    whole = np.rint(steps)
    near = (scale != 0) & (np.abs(steps - whole) <= _WHOLE * np.maximum(1, np.abs(whole)))
    return np.where(near, whole * scale, offset)


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
