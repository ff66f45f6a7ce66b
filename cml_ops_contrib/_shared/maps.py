"""Maps: dicts in an array of objects, one alone without axes or several along one axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["as_maps", "maps_of"]


def as_maps(x: np.ndarray) -> list[Mapping]:
    """The maps of an array.

    Raises
    ------
    AttributeValueError
        It holds something else, or they are not along one axis.
    """
    maps = list(np.asarray(x, dtype=object).reshape(-1))
    if np.ndim(x) > 1 or not all(isinstance(one, Mapping) for one in maps):
        raise AttributeValueError("X", np.asarray(x).tolist(), "one map, or maps along one axis")
    return maps


def maps_of(keys: list, rows: list[list]) -> np.ndarray:
    """An array with a map of the keys to each row."""
    result = np.empty(len(rows), dtype=object)
    result[:] = [dict(zip(keys, row, strict=True)) for row in rows]
    return result
