"""How constant factors of matrix products are laid out in memory, and multiplied with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "bias_adder",
    "laid_out",
    "pieces_of_columns",
    "product_of_stacks",
    "ready",
    "right_factor",
]

#: From so many elements on, products with few rows are faster if BLAS gets a matrix transposed.
_LARGE = 1 << 17
#: OpenBLAS multiplies matrices as they are up to so many products of numbers (AVX-512 only);
#: beyond, it copies them first, which is worth it for many rows.
_SMALL = 1_000_000
#: For so many rows it is not, and for so many if the matrix is transposed.
_FEW_ROWS, _FEWER_ROWS = 64, 16
#: Elements of a result to which a bias is added row by row beyond.
_FEW_ELEMENTS = 1 << 16
#: Columns that it pays to multiply with at a time.
_FEWEST_COLUMNS = 32


def laid_out(weight: np.ndarray) -> np.ndarray:
    """Copy the right factor of a matrix product to the layout that is the fastest for its size.

    Measured with OpenBLAS: 8 x 64 times 64 x 256 takes 2.3 times as long if it is transposed,
    64 x 1024 times 1024 x 512 takes 1.6 times as long if it is not.
    """
    order = "F" if weight.size >= _LARGE else "C"
    return np.array(weight, order=order)


def ready(weight: Any) -> bool:
    """Whether a tensor is a constant of a type that BLAS multiplies."""
    return isinstance(weight, np.ndarray) and weight.dtype in (np.float32, np.float64)


def right_factor(weight: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what multiplies matrices (M, K) with a matrix (K, N).

    A few rows are multiplied with some columns at a time, as a stack: 64 x 256 times 256 x 256
    takes 0.75 of the time, 8 x 512 times 512 x 512 a third (OpenBLAS, AVX-512). Where BLAS gains
    nothing by that, it takes up to 1.2 times as long.
    """
    weight = laid_out(weight)
    (depth, width), most = weight.shape, _FEW_ROWS if weight.flags.c_contiguous else _FEWER_ROWS

    # As a rule, a model is run on batches of one size, or of two.
    @functools.lru_cache(maxsize=2)
    def stack(pieces: int) -> np.ndarray:
        parts = weight.reshape(depth, pieces, width // pieces).swapaxes(0, 1)
        # Of a matrix that is transposed, each piece is contiguous already.
        return np.ascontiguousarray(parts) if weight.flags.c_contiguous else parts

    def multiply(a: np.ndarray) -> np.ndarray:
        rows = len(a)
        pieces = (
            pieces_of_columns(rows, depth, width) if rows <= most and a.dtype == weight.dtype else 1
        )
        if pieces == 1:
            return np.matmul(a, weight)
        out = np.empty((rows, width), dtype=weight.dtype)
        np.matmul(a, stack(pieces), out.reshape(rows, pieces, width // pieces).swapaxes(0, 1))
        return out

    return multiply


def bias_adder(bias: np.ndarray) -> Callable[[np.ndarray], Any]:
    """Return what adds a bias to a matrix (M, N), in place.

    Adding a matrix takes half the time of adding the same row to each of 64 rows.
    """

    @functools.lru_cache(maxsize=2)
    def repeated(shape: tuple[int, int]) -> np.ndarray:
        return np.broadcast_to(bias, shape).copy()

    def add(product: np.ndarray) -> None:
        few = product.size <= _FEW_ELEMENTS
        np.add(product, repeated(product.shape) if few else bias, product)

    return add


def product_of_stacks(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Multiply stacks of matrices (S, M, K) and (S, K, N), row by row, into (S, M, N).

    Matrices that are just too large to be multiplied as they are, are multiplied in halves:
    128 x 128 times 128 x 64 takes 0.7 of the time.
    """
    count, rows, depth = a.shape
    size = rows * depth * b.shape[2]
    if rows % 2 or not _SMALL < size <= 2 * _SMALL:
        np.matmul(a, b, out)
        return
    halves = a.reshape(count, 2, rows // 2, depth)
    np.matmul(halves, b[:, np.newaxis], out.reshape(count, 2, rows // 2, -1))


@functools.lru_cache(maxsize=1024)
def pieces_of_columns(rows: int, depth: int, width: int) -> int:
    """How many equal pieces of columns to multiply with; one if they would be too narrow."""
    if rows < 2 or rows * depth * width <= _SMALL:
        return 1
    for pieces in range(2, width // _FEWEST_COLUMNS + 1):
        if width % pieces == 0 and rows * depth * width <= _SMALL * pieces:
            return pieces
    return 1
