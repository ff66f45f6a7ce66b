"""Clear matrices along an axis of a tensor, with one step for all of their elements.

`matmul` quantizes each output column by itself, which leaves a scale per column. Here all columns
share one step, so that matrices may follow each other along several axes without a lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import EncryptedTensor, LoweringContext, Opcode, affine, move

__all__ = ["integer_rows", "weigh"]

#: How close to whole numbers weights must come to count as exact.
_EXACT = 1e-5


def integer_rows(weights: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
    """Write the rows of a matrix as integers with one common step.

    The step is `1 / d`, for the smallest `d <= 2**bits` that is exact (1/4, 2/3 …), else for the
    one of least error. The integers of a row sum up to what its weights do, so a constant signal
    stays what it is.

    Parameters
    ----------
    weights : float array of shape (M, K)
        The real weights.
    bits : int
        How fine the step may be.

    Returns
    -------
    integers : int64 array of shape (M, K)
        The weights in steps.
    step : float
        The real value of 1.
    """
    best: tuple[float, np.ndarray, int] | None = None
    for divisor in range(1, 2**bits + 1):
        integers = _rounded(weights * divisor)
        error = float(np.abs(integers / divisor - weights).max(initial=0.0))
        if best is None or error < best[0]:
            best = error, integers, divisor
        if error < _EXACT:
            break
    assert best is not None  # bits is 0 at least
    return best[1], 1.0 / best[2]


def _rounded(scaled: np.ndarray) -> np.ndarray:
    """Round so that rows keep their sums: up where most would be lost, down elsewhere."""
    floor = np.floor(scaled + _EXACT)
    missing = np.rint(scaled.sum(axis=1, keepdims=True)) - floor.sum(axis=1, keepdims=True)
    order = np.argsort(floor - scaled, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(scaled.shape[1])[np.newaxis], axis=1)
    return (floor + (place < missing)).astype(np.int64)


def weigh(
    ctx: LoweringContext,
    x: EncryptedTensor,
    axis: int,
    integers: np.ndarray,
    step: float = 1.0,
    real: np.ndarray | None = None,
) -> EncryptedTensor:
    """Replace the elements along an axis by weighted sums of them: no lookup on a common grid.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor
        What to weigh.
    axis : int
        Along which axis, counted from the front.
    integers : int array of shape (M, K)
        A row of weights for each new element, in steps.
    step : float
        The real value of an integer weight of 1.
    real : float array of shape (M, K), optional
        The weights that the integers stand for, by default `step * integers`.
    """
    real = integers * step if real is None else real
    kept = tuple(other for other in range(x.ndim) if other != axis)
    view = affine(ctx, x, varying=kept)
    bare = EncryptedTensor.on_grid(view.register, 1.0, 0.0, np.float64)
    (last,) = move(ctx, lambda a: np.moveaxis(a, axis, -1), [bare])
    product = ctx.builder.emit(Opcode.MATMUL, [last.register], constants={"weight": integers.T})
    scale = np.moveaxis(view.scale, axis, -1).max(axis=-1, keepdims=True, initial=0.0) * step
    offset = np.moveaxis(view.offset, axis, -1) @ real.T
    result = EncryptedTensor.on_grid(product, scale, offset, x.dtype)
    (back,) = move(ctx, lambda a: np.moveaxis(a, -1, axis), [result])
    return back
