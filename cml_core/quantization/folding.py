"""Products with clear weights that nothing but weights and sums follows: one product."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.quantization.affine import affine_view, is_uniform
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import WIDEST_FACTOR
from cml_core.quantization.known_products import Product
from cml_core.quantization.origins import origin, origins

__all__ = ["Sum", "folded", "joined", "summed"]

#: How many times as many multiplications one product may take as the two that it replaces.
_MORE_WORK = 16
#: Most entries of a product as a matrix from all that it takes to all that it gives.
_UNROLLED = 2**22


@attrs.frozen(slots=True, eq=False)
class Sum:
    """Sums of results of a product, as one product and what has to be added to it.

    Parameters
    ----------
    source : EncryptedTensor of shape (1, K)
        All integers that the product takes.
    matrix : array of shape (K, N)
        Their weights in each sum.
    constant : array
        What is to be added, of the shape that the sums have.
    """

    source: EncryptedTensor
    matrix: np.ndarray
    constant: np.ndarray


def folded(
    ctx: LoweringContext,
    x: EncryptedTensor,
    matrix: np.ndarray,
    axis: int,
    apply: Callable[[np.ndarray], np.ndarray],
) -> tuple[EncryptedTensor, np.ndarray] | None:
    """Multiply by a matrix what is a product with clear weights already, in a single product.

    Two layers with nothing in between round their weights once so, and the integers between them
    never arise.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor
        What it takes.
    matrix : array of shape (M, N)
        Weights over the channels of x.
    axis : int
        The axis of those channels.
    apply : callable
        The same product on real arrays.

    Returns
    -------
    tuple of EncryptedTensor and array, or None
        The product and what has to be added to it; None if x is no product, if its own channels
        lie on another axis, or if one product would be much more work than two.
    """
    known: Product | None = ctx.builder.products.get(x.register.position)
    if known is None or known.again is None or known.axis != axis:
        return None
    if known.source.interval.width > WIDEST_FACTOR:
        return None
    view = affine_view(x)
    if view is None or not is_uniform(view.scale, (axis,)):
        return None
    inputs = known.weights // len(matrix)
    if inputs * matrix.shape[1] > _MORE_WORK * (known.weights + matrix.size):
        return None
    factor = view.scale / known.step
    ratio = np.moveaxis(factor, axis, 0).reshape(len(matrix), -1)[:, :1]
    constant = view.offset - factor * known.correction
    return known.again(ctx, ratio * matrix), apply(constant)


def joined(ctx: LoweringContext, x: EncryptedTensor, matrix: np.ndarray) -> Sum | None:
    """Multiply by a matrix what is put together of products of one tensor, and of that tensor.

    The integers of a product are many bits wider than those that it takes. Side by side, one
    scale of weights fits only one of them; a single product of what they have in common fits all.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor of shape (..., M)
        What it takes.
    matrix : array of shape (M, N)
        Weights.

    Returns
    -------
    Sum or None
        The product, of shape `(..., N)`; None if x is anything else, or if one product would be
        much more work.
    """
    builder = ctx.builder
    view = affine_view(x)
    if view is None:
        return None
    register, where = origins(builder, x.register.position, builder.products)
    parts = np.unique(register)
    products: dict[int, Product] = {p: builder.products[p] for p in parts if p in builder.products}
    sources = {known.source.position: known.source for known in products.values()}
    if len(parts) < 2 or len(sources) != 1:
        return None
    source = next(iter(sources.values()))
    inside, lead = source.size, x.register.size // len(matrix)
    work = sum(known.weights for known in products.values()) + matrix.size
    if (
        source.interval.width > WIDEST_FACTOR
        or inside * x.register.size > _UNROLLED
        or inside * lead * matrix.shape[1] > _MORE_WORK * work
    ):
        return None
    scale, constant = (np.broadcast_to(each, x.shape) for each in (view.scale, view.offset))
    constant, elements = constant.copy(), np.zeros((inside, *x.shape))
    units = np.eye(inside)
    for position in parts:
        mine = register == position
        if position in products:
            known = products[position]
            shape = builder.at(position).shape
            step, correction = (
                np.broadcast_to(each, shape).reshape(-1)[where[mine]]
                for each in (known.step, known.correction)
            )
            factor = scale[mine] / step
            constant[mine] -= factor * correction
            real = known.apply(units.reshape(inside, *source.shape)).reshape(inside, -1)
            elements[:, mine] = real[:, where[mine]] * factor
        else:
            back, place = origins(builder, source.position, {int(position)})
            if (back != position).any():
                return None
            which = {int(e): k for k, e in enumerate(place.reshape(-1))}
            if not set(where[mine].tolist()) <= which.keys():
                return None
            elements[:, mine] = units[:, [which[e] for e in where[mine].tolist()]] * scale[mine]
    flat = builder.emit(Opcode.RESHAPE, [source], shape=(1, inside))
    whole = EncryptedTensor.on_grid(flat, 1.0, 0.0, x.dtype)
    return Sum(whole, (elements @ matrix).reshape(inside, -1), constant @ matrix)


def summed(
    ctx: LoweringContext, x: EncryptedTensor, axes: tuple[int, ...], *, keepdims: bool
) -> Sum | None:
    """Sum results of a product in the product itself.

    Where they have different scales, lookups that bring them onto one would lose most of what
    they say; the weights know any scale.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor
        What is summed.
    axes, keepdims
        As in `sum_`.

    Returns
    -------
    Sum or None
        None if x is no product, moved or not, or if one product would be much more work. None as
        well if x is on one scale, unless it is a product of bits.
    """
    if x.register.size == 0:
        return None
    found = origin(ctx.builder, x.register.position, ctx.builder.products)
    if found is None:
        return None
    position, where = found
    known: Product = ctx.builder.products[position]
    view = affine_view(x)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    if view is None or (is_uniform(view.scale, kept) and not known.of_bits):
        return None
    shape, given = ctx.builder.at(position).shape, ctx.builder.at(position).size
    inside, results = known.source.size, math.prod(x.shape[axis] for axis in kept)
    if inside * max(inside, given) > _UNROLLED or inside * results > _MORE_WORK * known.weights:
        return None
    step, correction = (
        np.broadcast_to(each, shape).reshape(-1)[where] for each in (known.step, known.correction)
    )
    factor = view.scale / step
    sizes = [x.shape[axis] if axis in kept else 1 for axis in range(x.ndim)]
    number = np.broadcast_to(np.arange(results).reshape(sizes), x.shape)
    sums = np.zeros((given, results))
    np.add.at(sums, (where, number), factor)
    units = np.eye(inside).reshape(inside, *known.source.shape)
    matrix = known.apply(units).reshape(inside, given) @ sums
    flat = ctx.builder.emit(Opcode.RESHAPE, [known.source], shape=(1, inside))
    constant = (view.offset - factor * correction).sum(axis=axes, keepdims=keepdims)
    return Sum(EncryptedTensor.on_grid(flat, 1.0, 0.0, x.dtype), matrix, constant)
