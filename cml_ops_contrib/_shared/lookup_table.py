"""Replacing values by others, as a table of keys says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    CalibrationRecorder,
    LoweringContext,
    elementwise,
)

__all__ = ["Table", "only_one", "propose_cuts", "propose_keys", "quantized_by"]

#: Most values that an encrypted element is compared with, as each comparison is a bit of its own,
#: and most comparisons in all.
_CUTS, _ALL_CUTS = 128, 2**16


class Table:
    """Keys and the values that take their place; the first of equal keys counts.

    Parameters
    ----------
    keys : array of numbers or strings
        Without NaN, unless it is a key of its own.
    values : array
        One for each key.
    default : object
        What other elements become.
    """

    def __init__(self, keys: np.ndarray, values: np.ndarray, default: Any) -> None:
        if len(keys) != len(values) or not len(keys):
            expected = f"as many as there are values, {len(values)}, and not none"
            raise AttributeValueError("number of keys", len(keys), expected)
        self.keys, first = np.unique(keys, return_index=True)
        self.values = values[first]
        self.default = np.asarray(default, dtype=values.dtype)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Replace numbers of any dtype, or strings, by values."""
        flat = np.asarray(x).reshape(-1).astype(self.keys.dtype, copy=False)
        place = np.searchsorted(self.keys, flat).clip(max=len(self.keys) - 1)
        found = self.keys[place] == flat
        if flat.dtype.kind == "f":
            found |= np.isnan(self.keys[place]) & np.isnan(flat)
        return np.where(found, self.values[place], self.default).reshape(np.shape(x))

    def checked(self, x: np.ndarray) -> np.ndarray:
        """Replace elements of the keys' own dtype.

        Raises
        ------
        AttributeValueError
            They have another.
        """
        if x.dtype != self.keys.dtype:
            expected = f"{_name(self.keys.dtype)}, as its keys are"
            raise AttributeValueError("type of X", _name(x.dtype), expected)
        return self(x)


def _name(dtype: np.dtype) -> str:
    return "string" if dtype.kind == "O" else dtype.name


def only_one(what: str, attributes: Mapping[str, Any]) -> np.ndarray:
    """The only one of several attributes that is stated, as an array.

    Raises
    ------
    AttributeValueError
        None is, or several are.
    """
    given = {name: value for name, value in sorted(attributes.items()) if value is not None}
    stated = {name: value for name, value in given.items() if np.size(value)}
    if len(stated) != 1:
        expected = f"one of {', '.join(sorted(attributes))}"
        raise AttributeValueError(what, ", ".join(stated) or None, expected)
    ((name, value),) = stated.items()
    return np.asarray(value, dtype=_DTYPES.get(name.partition("_")[2])).reshape(-1)


_DTYPES = {"floats": np.float32, "int64s": np.int64, "strings": object}


def quantized_by(ctx: LoweringContext, table: Table, x: Any) -> tuple[Any, ...]:
    """Replace encrypted numbers by numbers: a decode, so it costs nothing."""
    if table.values.dtype.kind == "O":
        ctx.refuse("it gives strings", 'Use tail="client".')
    if table.keys.dtype.kind == "O":
        ctx.refuse("its keys are strings", "Encrypt numbers.")

    def replaced(values: Any) -> Any:
        # In the model's precision first, where values equal keys.
        return table(np.asarray(values).astype(x.dtype))

    return (elementwise(ctx, replaced, x),)


def propose_keys(recorder: CalibrationRecorder, x: np.ndarray, keys: np.ndarray) -> None:
    """Say that of numbers it is only asked which key they equal, if any."""
    if keys.dtype.kind not in "iuf":
        return
    keys = keys[np.isfinite(keys)]
    before = np.nextafter(keys, -np.inf, dtype=keys.dtype) if keys.dtype.kind == "f" else keys - 1
    propose_cuts(recorder, x, np.concatenate([before, keys]))


def propose_cuts(recorder: CalibrationRecorder, x: np.ndarray, values: np.ndarray) -> None:
    """Say that of all elements it is only asked which of some values they exceed."""
    values = np.unique(values)
    if x.dtype.kind in "iuf" and len(values) <= _CUTS and len(values) * x.size <= _ALL_CUTS:
        recorder.propose_cuts(0, np.tile(values, x.size), np.arange(x.size).repeat(len(values)))
