"""Samples as rows of features; a vector is one sample."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter

__all__ = ["as_rows", "matrix_of", "write_rows"]


def as_rows(x: np.ndarray, features: int) -> np.ndarray:
    """Samples as a float32 matrix `(N, features)`.

    Raises
    ------
    AttributeValueError
        The input is neither a vector nor a matrix of so many features.
    """
    if x.ndim not in (1, 2) or x.shape[-1] != features:
        expected = f"({features},) or (N, {features}), as the model has {features} features"
        raise AttributeValueError("shape of X", x.shape, expected)
    return x.reshape(-1, features).astype(np.float32, copy=False)


def write_rows(writer: GraphWriter, x: str, features: int) -> str:
    """The same as nodes."""
    return writer.cast(writer.add("Reshape", x, writer.constant([-1, features])), np.float32)


def matrix_of(name: str, values, rows: int) -> np.ndarray:
    """An attribute of floats as a float32 matrix of so many rows.

    Raises
    ------
    AttributeValueError
        There are none, or they do not divide into rows.
    """
    array = np.asarray(values or (), dtype=np.float32)
    if rows < 1 or array.size == 0 or array.size % rows:
        expected = f"some, and as many in each of {rows} rows"
        raise AttributeValueError(f"number of {name}", array.size, expected)
    return array.reshape(rows, -1)
