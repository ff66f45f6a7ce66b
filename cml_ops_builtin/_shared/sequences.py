"""Sequences: tuples of tensors, which operators never change but make anew."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["as_sequence", "place_in"]


def as_sequence(value):
    """Return a sequence, checked.

    Raises
    ------
    AttributeValueError
        The value is none, or an optional that is empty.
    """
    if not isinstance(value, tuple):
        found = "nothing" if value is None else f"a tensor of shape {value.shape}"
        raise AttributeValueError("input_sequence", found, "a sequence of tensors")
    return value


def place_in(position, length, *, most):
    """Return a position among `length` tensors as a number from 0 to `most`.

    Negative ones count from the end, -1 being the last of `length`.
    """
    if np.size(position) != 1:
        raise AttributeValueError("position", position.tolist(), "one number")
    place = int(np.reshape(position, ()))
    if not -length <= place <= most:
        raise AttributeValueError("position", place, f"from {-length} to {most}")
    return place + length if place < 0 else place
