"""Products and sums of encrypted integers with clear weights.

Each takes its input on an affine grid `s * q + o`, emits the bare integer product, and puts
scales, zero-point terms and everything else that is known in the clear into the new decode,
where it is free. As the operation L is linear, `L(s * q + o) = L(s * q) + L(o)`, and `L(o)` is
computed here, in the clear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.program.kernels import conv_nd, window_view
from cml_core.quantization.arithmetic import add
from cml_core.quantization.builder import Register
from cml_core.quantization.conditions import weighed
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import parts_of
from cml_core.quantization.encrypted import Decode, EncryptedTensor, ModelGrid
from cml_core.quantization.folding import folded, joined, summed
from cml_core.quantization.grid import affine, balanced, has_own_lookup
from cml_core.quantization.movement import reshape
from cml_core.quantization.product import LinearMap, input_matrix, product
from cml_core.quantization.pruning import Pruned, prune_inputs

__all__ = ["conv", "matmul", "sum_"]

#: Most inputs of each result at which channels are left out: the work grows with their cube.
_PRUNABLE = 4096


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
    chosen = _selected(ctx, x, weight)
    if chosen is not None:
        return chosen
    if weight.ndim == 2 and x.register.size:
        at_once = folded(ctx, x, weight, x.ndim - 1, lambda real: np.matmul(real, weight))
        if at_once is not None:
            return _plus(ctx, *at_once)
        whole = joined(ctx, x, weight)
        if whole is not None:
            total = matmul(ctx, whole.source, whole.matrix)
            return _plus(ctx, reshape(ctx, total, whole.constant.shape), whole.constant)
    unread, extra = None, np.zeros(())
    found = _pruned(ctx, x, weight, _by_last_axis, x.shape[-1]) if weight.ndim == 2 else None
    if found is not None:
        weight, extra = found.weight, found.offset
        unread = np.broadcast_to(~found.kept, x.shape)
    strength = np.sqrt(
        np.square(weight).mean(axis=tuple({*range(weight.ndim)} - {weight.ndim - 2}))
    )
    looked_up = balanced(ctx, x, axis=-1, strength=strength, unread=unread)
    view = affine(ctx, looked_up, varying=(-1,))
    inner = view.scale.reshape(-1, x.shape[-1])[0] if x.register.size else np.ones(x.shape[-1])

    def emit(weights: np.ndarray) -> Register:
        at_once = weighed(ctx.builder, view.register, weights)
        if at_once is not None:
            return at_once
        return ctx.builder.emit(Opcode.MATMUL, [view.register], constants={"weight": weights})

    def apply(real: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.matmul(real, weight)
        return result

    rank = max(weight.ndim, x.ndim) - (x.ndim == 1)
    width = weight.shape[-1]

    def as_result(step: np.ndarray) -> np.ndarray:
        columns = step[..., 0, :] if x.ndim == 1 else step
        return columns.reshape((1,) * (rank - columns.ndim) + columns.shape)

    on_integers = inner[:, np.newaxis] * weight

    def again(reader: LoweringContext, matrix: np.ndarray) -> EncryptedTensor:
        source = EncryptedTensor.on_grid(view.register, 1.0, 0.0, x.dtype)
        return matmul(reader, source, on_integers @ matrix)

    return product(
        ctx,
        x,
        view,
        LinearMap(
            weight=on_integers,
            axes=(-2,),
            emit=emit,
            apply=apply,
            as_result=as_result,
            rows=_by_last_axis if weight.ndim == 2 else None,
            as_columns=lambda w: w.reshape(1, -1, width),
            from_columns=lambda w: w.reshape(weight.shape),
            extra=extra,
            again=again if weight.ndim == 2 else None,
        ),
    )


def _plus(ctx: LoweringContext, x: EncryptedTensor, constant: np.ndarray) -> EncryptedTensor:
    """Add what is known to more digits than the tensor's own type has, and keep that type."""
    return attrs.evolve(add(ctx, x, constant), dtype=x.dtype)


def _selected(
    ctx: LoweringContext, x: EncryptedTensor, weight: np.ndarray
) -> EncryptedTensor | None:
    """`x @ weight` if each column of weights chooses one element or none; else None."""
    if weight.ndim != 2 or not x.register.size or not weight.size:
        return None
    chosen = weight.sum(axis=0)
    if not ((weight == 0) | (weight == 1)).all() or (chosen > 1).any() or not chosen.any():
        return None
    column, nothing = weight.argmax(axis=0), chosen == 0
    encrypted_by_cuts = parts_of(ctx.builder, x.register) is not None
    if len(np.unique(column[~nothing])) < chosen.sum() and not encrypted_by_cuts:
        return None  # Looked up after it was repeated, an element would cost as many lookups.
    lead = x.shape[:-1]
    rows = np.arange(math.prod(lead)).reshape(*lead, 1) * x.shape[-1]
    flat = ctx.builder.emit(Opcode.RESHAPE, [x.register], shape=(x.register.size,))
    register = ctx.builder.emit(Opcode.GATHER, [flat], constants={"index": rows + column})
    channel, decode = x.channel[..., column], x.decode
    if nothing.any():
        # Whatever the element, the result is zero.
        channel = np.where(nothing, decode.channels, channel)
        decode = Decode.union([decode, _zero(decode)])
    return attrs.evolve(x, register=register, channel=channel, decode=decode, name="")


def _zero(like: Decode) -> Decode:
    """What makes zero of any integer, on a grid if another decode is on one."""
    nothing = Decode.affine(np.zeros(1), np.zeros(1))
    if like.grid is None:
        return nothing
    return attrs.evolve(nothing, grid=ModelGrid(np.ones(1), np.zeros(1), 1))


def _by_last_axis(samples: np.ndarray) -> np.ndarray:
    return samples.reshape(1, -1, samples.shape[-1])


def _pruned(
    ctx: LoweringContext,
    x: EncryptedTensor,
    weight: np.ndarray,
    rows: Callable[[np.ndarray], np.ndarray],
    channels: int,
) -> Pruned | None:
    """Say which channels of the input need no lookup, and the weights `(K, M)` without them."""
    if not ctx.config.prune or x.register.samples.size == 0 or not 1 < len(weight) <= _PRUNABLE:
        return None
    if not has_own_lookup(ctx, x):
        return None
    values = x.values().astype(np.float64)
    (inputs,) = input_matrix(np.where(np.isfinite(values), values, 0.0), rows)
    return prune_inputs(weight, inputs, channels, ctx.config.prune)


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
    x : EncryptedTensor of shape `(N, C, *spatial)`
        Encrypted images.
    weight : array of shape `(M, C / group, *kernel)`
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
    rank, depth, kernel = weight.ndim - 2, weight.shape[1], weight.shape[2:]
    maps = len(weight) // max(group, 1)
    before, after = (0, 0, *pads[:rank]), (0, 0, *pads[rank:])

    def rows(samples: np.ndarray) -> np.ndarray:
        images = np.pad(samples, ((0, 0), *zip(before, after, strict=True)))
        images = images.reshape(-1, *images.shape[2:])
        windows = window_view(images, kernel, strides, dilations)
        output = windows.shape[2 : 2 + rank]
        split = windows.reshape(len(images), group, depth, *output, *kernel)
        order = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
        return split.transpose(order).reshape(group, -1, depth * math.prod(kernel))

    settings = {"strides": tuple(strides), "dilations": tuple(dilations), "group": group}
    pointwise = group == 1 and {*kernel, *strides} <= {1} and not any(pads)

    def apply(real: np.ndarray) -> np.ndarray:
        images = conv_nd(
            real.reshape(-1, *x.shape[1:]),
            weight,
            strides=strides,
            dilations=dilations,
            group=group,
            pads=pads,
        )
        return images.reshape(*real.shape[: real.ndim - x.ndim], -1, *images.shape[1:])

    if pointwise and x.register.size:
        matrix = weight.reshape(len(weight), -1).T
        at_once = folded(ctx, x, matrix, 1, apply)
        if at_once is not None:
            return _plus(ctx, *at_once)
    unread, extra = None, np.zeros(())
    columns = weight.reshape(len(weight), -1).T
    found = _pruned(ctx, x, columns, rows, depth) if group == 1 else None
    if found is not None:
        weight = found.weight.T.reshape(weight.shape)
        extra = found.offset.reshape(1, -1, *(1,) * rank)
        unread = np.broadcast_to(~found.kept.reshape(1, -1, *(1,) * rank), x.shape)
    by_group = np.square(weight).reshape(group, maps, depth, -1).mean(axis=(1, 3))
    strength = np.sqrt(by_group.reshape(-1))
    looked_up = balanced(ctx, x, axis=1, strength=strength, unread=unread)
    view = affine(ctx, looked_up, varying=(1,))
    per_channel = view.scale.reshape(*x.shape[:2], -1)[0, :, 0]
    source = per_channel.reshape(group, depth).repeat(maps, axis=0)
    padded = view.register
    if any(pads):
        padded = ctx.builder.emit(Opcode.PAD, [padded], {"before": before, "after": after})
    on_integers = weight * source.reshape(*source.shape, *(1,) * rank)

    def emit(weights: np.ndarray) -> Register:
        return ctx.builder.emit(Opcode.CONV, [padded], settings, {"weight": weights})

    def again(reader: LoweringContext, matrix: np.ndarray) -> EncryptedTensor:
        image = EncryptedTensor.on_grid(view.register, 1.0, 0.0, x.dtype)
        filters = np.tensordot(matrix.T, on_integers, axes=1)
        return conv(
            reader,
            image,
            filters,
            strides=strides,
            dilations=dilations,
            pads=pads,
            group=group,
        )

    return product(
        ctx,
        x,
        view,
        LinearMap(
            weight=on_integers,
            axes=tuple(range(1, weight.ndim)),
            emit=emit,
            apply=apply,
            as_result=lambda step: step.reshape(1, -1, *(1,) * rank),
            rows=rows,
            as_columns=lambda w: w.reshape(group, maps, -1).swapaxes(1, 2),
            from_columns=lambda w: w.swapaxes(1, 2).reshape(weight.shape),
            extra=extra,
            again=again if group == 1 else None,
            axis=1,
        ),
    )


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
    at_once = summed(ctx, x, axes, keepdims=keepdims)
    if at_once is not None:
        total = matmul(ctx, at_once.source, at_once.matrix)
        return _plus(ctx, reshape(ctx, total, at_once.constant.shape), at_once.constant)
    view = affine(ctx, x, varying=kept)
    register = ctx.builder.emit(
        Opcode.SUM, [view.register], {"axes": axes, "keepdims": bool(keepdims)}
    )
    scale = view.scale.max(axis=axes, keepdims=keepdims, initial=-np.inf)
    offset = view.offset.sum(axis=axes, keepdims=keepdims)
    return EncryptedTensor.on_grid(
        register, np.where(np.isfinite(scale), scale, 1.0), offset, x.dtype
    )
