"""Two products with clear weights and nothing in between: one product."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from cml_core.quantization.affine import affine_view, is_uniform
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import WIDEST_FACTOR

__all__ = ["Product", "folded"]

#: How many times as many multiplications one product may take as the two that it replaces.
_MORE_WORK = 16


@attrs.frozen(slots=True, eq=False)
class Product:
    """What a register that is a product stands for, apart from constants: `step * register`.

    Parameters
    ----------
    weights : int
        How many weights there are.
    width : int
        Width of the integers that it takes.
    step : array
        Value of one, of a shape that broadcasts to the register's.
    correction : array
        What the decode adds for errors of the integer weights, likewise.
    again : callable or None
        `again(ctx, matrix)` emits the product followed by a matrix (M, N) over its M channels,
        as a single one.
    """

    weights: int
    width: int
    step: np.ndarray
    correction: np.ndarray
    again: Callable[[LoweringContext, np.ndarray], EncryptedTensor] | None


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
        The product and what has to be added to it; None if x is no product, or if one product
        would be much more work than two.
    """
    known: Product | None = ctx.builder.products.get(x.register.position)
    if known is None or known.again is None or known.width > WIDEST_FACTOR:
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
