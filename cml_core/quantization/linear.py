"""Products and sums of encrypted integers with clear weights.

Each takes its input on an affine grid `s * q + o`, emits the bare integer product, and puts
scales, zero-point terms and everything else that is known in the clear into the new decode,
where it is free. As the operation L is linear, `L(s * q + o) = L(s * q) + L(o)`, and `L(o)` is
computed here, in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cml_core.program.instructions import Opcode, bit_width
from cml_core.program.kernels import conv_nd
from cml_core.quantization.affine import AffineView
from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import affine
from cml_core.quantization.weights import quantize_weights

__all__ = ["conv", "matmul", "sum_"]

#: Samples that the mean error of weights is measured on.
_SAMPLES = 256


def matmul(ctx: LoweringContext, x: EncryptedTensor, weight: np.ndarray) -> EncryptedTensor:
    """Multiply an encrypted tensor by clear weights: `x @ weight`.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor of shape (..., K)
        Encrypted factor.
    weight : array of shape (K, M) or (..., K, M)
        Clear factor; quantized per output column.
    """
    weight = np.asarray(weight, dtype=np.float64)
    view = affine(ctx, x, varying=(-1,))
    inner = view.scale.reshape(-1, x.shape[-1])[0] if x.register.size else np.ones(x.shape[-1])
    integers, step = quantize_weights(
        inner[:, np.newaxis] * weight, ctx.bits.weight_bits or 4, axes=(-2,)
    )

    def emit(weights: np.ndarray) -> Register:
        return ctx.builder.emit(Opcode.MATMUL, [view.register], constants={"weight": weights})

    def exact(real: np.ndarray) -> np.ndarray:
        product: np.ndarray = np.matmul(real, weight)
        return product

    rank = max(weight.ndim, x.ndim) - (x.ndim == 1)
    columns = step[..., 0, :] if x.ndim == 1 else step
    columns = columns.reshape((1,) * (rank - columns.ndim) + columns.shape)
    return _product(ctx, view, integers, step, columns, emit, exact, x.dtype)


def conv(
    ctx: LoweringContext,
    x: EncryptedTensor,
    weight: np.ndarray,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    group: int,
) -> EncryptedTensor:
    """Convolve an encrypted tensor with clear filters, in any number of spatial dimensions.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor of shape (N, C, *spatial)
        Encrypted images.
    weight : array of shape (M, C / group, *kernel)
        Clear filters; quantized per output channel.
    strides, dilations : sequence of int
        Per spatial axis.
    pads : sequence of int
        Zeros before each spatial axis, then after each. A zero is exact whatever the zero point,
        as the padding's share of the offset is left out in the clear.
    group : int
        Number of groups that channels divide into.
    """
    weight = np.asarray(weight, dtype=np.float64)
    rank = weight.ndim - 2
    view = affine(ctx, x, varying=(1,))
    per_channel = view.scale.reshape(*x.shape[:2], -1)[0, :, 0]
    depth = weight.shape[1]
    source = per_channel.reshape(group, depth).repeat(len(weight) // group, axis=0)
    integers, step = quantize_weights(
        weight * source.reshape(*source.shape, *(1,) * rank),
        ctx.bits.weight_bits or 4,
        axes=tuple(range(1, weight.ndim)),
    )
    padded = view.register
    if any(pads):
        before, after = (0, 0, *pads[:rank]), (0, 0, *pads[rank:])
        padded = ctx.builder.emit(Opcode.PAD, [padded], {"before": before, "after": after})
    settings = {"strides": tuple(strides), "dilations": tuple(dilations), "group": group}

    def emit(weights: np.ndarray) -> Register:
        return ctx.builder.emit(Opcode.CONV, [padded], settings, {"weight": weights})

    def exact(real: np.ndarray) -> np.ndarray:
        images = conv_nd(
            real.reshape(-1, *x.shape[1:]),
            weight,
            strides=strides,
            dilations=dilations,
            group=group,
            pads=pads,
        )
        return images.reshape(*real.shape[: real.ndim - x.ndim], -1, *images.shape[1:])

    channels = step.reshape(1, -1, *(1,) * rank)
    return _product(ctx, view, integers, step, channels, emit, exact, x.dtype)


def _product(
    ctx: LoweringContext,
    view: AffineView,
    integers: np.ndarray,
    step: np.ndarray,
    scale: np.ndarray,
    emit: Callable[[np.ndarray], Register],
    exact: Callable[[np.ndarray], np.ndarray],
    dtype: np.dtype[Any],
) -> EncryptedTensor:
    """Emit the integer product and put all that is known in the clear into its decode.

    Parameters
    ----------
    view : AffineView
        The encrypted factor `s * q + o`.
    integers, step : array
        Quantized weights, and their steps (size 1 along the axes of one channel).
    scale : array
        The steps with the axes of the result, size 1 along those that share a channel.
    emit : callable
        Emits the product of `q` with integer weights.
    exact : callable
        The operation L with its real weights, on real arrays with or without an axis of samples.
    """
    register = emit(integers)
    shared = tuple(axis for axis, size in enumerate(scale.shape) if size == 1)
    factor = _filling(ctx, register, shared)
    if factor is not None:
        register = emit(integers * factor.reshape(step.shape))
        scale = scale / factor
    offset = exact(view.offset) + _weight_bias(view, register, scale, exact, shared)
    return EncryptedTensor.on_grid(register, scale, offset, dtype)


def _filling(
    ctx: LoweringContext, register: Register, shared: tuple[int, ...]
) -> np.ndarray | None:
    """Clear factors that make each channel's accumulator as wide as the widest one.

    Rounding will take the same number of low bits from all of them, so a channel that uses few
    integers would lose most of what it says. None if nothing will be rounded.
    """
    keep = ctx.bits.rounding_bits
    if not ctx.feeds_lookup or not keep or register.samples.size == 0:
        return None
    low = register.samples.min(axis=0).min(axis=shared, keepdims=True).astype(np.int64)
    high = register.samples.max(axis=0).max(axis=shared, keepdims=True).astype(np.int64)
    span = high - low
    widest = int(span.max())
    if bit_width(0, widest) <= keep:
        return None
    return np.where(span > 0, widest // np.maximum(span, 1), 1)


def _weight_bias(
    view: AffineView,
    register: Register,
    scale: np.ndarray,
    exact: Callable[[np.ndarray], np.ndarray],
    shared: tuple[int, ...],
) -> np.ndarray:
    """Mean error that integer weights make on the calibration data, for each output channel.

    Rounded weights shift the mean of a channel wherever its inputs have one. Adding the mean
    error to the offset is free (bias correction: Nagel et al. 2019, arXiv:1906.04721, section
    4.2; here it is measured on data).
    """
    samples = view.register.samples[:_SAMPLES]
    if samples.size == 0:
        return np.zeros(())
    wanted = exact(view.scale * samples.astype(np.float64))
    error = wanted - scale * register.samples[:_SAMPLES]
    mean: np.ndarray = error.mean(axis=0).mean(axis=shared, keepdims=True)
    return mean


def sum_(
    ctx: LoweringContext, x: EncryptedTensor, axes: Sequence[int], *, keepdims: bool
) -> EncryptedTensor:
    """Sum an encrypted tensor over some axes.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor
        What to sum.
    axes : sequence of int
        Axes to sum over; negative ones count from the end.
    keepdims : bool
        Keep summed axes with size 1.
    """
    axes = tuple(sorted(axis % x.ndim for axis in axes))
    if not axes:
        return x
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    view = affine(ctx, x, varying=kept)
    register = ctx.builder.emit(
        Opcode.SUM, [view.register], {"axes": axes, "keepdims": bool(keepdims)}
    )
    scale = view.scale.max(axis=axes, keepdims=keepdims, initial=-np.inf)
    offset = view.offset.sum(axis=axes, keepdims=keepdims)
    return EncryptedTensor.on_grid(
        register, np.where(np.isfinite(scale), scale, 1.0), offset, x.dtype
    )
