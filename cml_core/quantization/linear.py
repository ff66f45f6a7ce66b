"""Products and sums of encrypted integers with clear weights.

Each takes its input on an affine grid `s * q + o`, emits the bare integer product, and puts
scales, zero-point terms and everything else that is known in the clear into the new decode,
where it is free. As the operation L is linear, `L(s * q + o) = L(s * q) + L(o)`, and `L(o)` is
computed here, in the clear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.program.kernels import conv_nd
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import affine
from cml_core.quantization.weights import quantize_weights

__all__ = ["conv", "matmul", "sum_"]


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
    register = ctx.builder.emit(Opcode.MATMUL, [view.register], constants={"weight": integers})
    offset = np.matmul(view.offset, weight)
    scale = np.broadcast_to(
        step, (*step.shape[:-2], register.shape[-2] if x.ndim > 1 else 1, step.shape[-1])
    )
    scale = scale.reshape(scale.shape[:-2] + scale.shape[-1:]) if x.ndim == 1 else scale
    return EncryptedTensor.on_grid(register, scale, offset, x.dtype)


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
    register = view.register
    if any(pads):
        before, after = (0, 0, *pads[:rank]), (0, 0, *pads[rank:])
        register = ctx.builder.emit(Opcode.PAD, [register], {"before": before, "after": after})
    settings = {"strides": tuple(strides), "dilations": tuple(dilations), "group": group}
    register = ctx.builder.emit(Opcode.CONV, [register], settings, {"weight": integers})
    offset = conv_nd(
        view.offset, weight, strides=strides, dilations=dilations, group=group, pads=pads
    )
    scale = step.reshape(1, -1, *(1,) * rank)
    return EncryptedTensor.on_grid(register, scale, offset, x.dtype)


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
