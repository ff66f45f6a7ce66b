"""Grids that tables bring tensors onto, and the integers on them."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.quantization.encrypted import EncryptedTensor

__all__ = ["Grid", "codes_on"]


def _float64(value: float | np.ndarray) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)


@attrs.frozen(slots=True, eq=False)
class Grid:
    """The real values `scale * q + offset` for q in `[0, levels)`.

    Parameters
    ----------
    scale, offset : float64 arrays that broadcast to a sample's shape
        Step and lowest value.
    levels : int
        Number of values.
    """

    scale: np.ndarray = attrs.field(converter=_float64)
    offset: np.ndarray = attrs.field(converter=_float64)
    levels: int


def codes_on(
    grid: Grid, tensor: EncryptedTensor, channel: np.ndarray, entries: np.ndarray
) -> np.ndarray:
    """Integers on a grid for integers of a tensor, a row for each element.

    Parameters
    ----------
    grid : Grid
        With a scale and an offset for each of N elements.
    tensor : EncryptedTensor
        Whose decode says what its integers stand for.
    channel : int array of shape (N,)
        The elements' channels.
    entries : int array of shape (N, M) or (1, M)
        Integers of the tensor.

    Returns
    -------
    int64 array of shape (N, M)
    """
    real = tensor.decode(entries, channel[:, np.newaxis]).astype(np.float64)
    with np.errstate(all="ignore"):
        codes = np.rint((real - grid.offset[:, np.newaxis]) / grid.scale[:, np.newaxis])
    whole: np.ndarray = np.clip(np.nan_to_num(codes, nan=0.0), 0, grid.levels - 1).astype(np.int64)
    return whole
