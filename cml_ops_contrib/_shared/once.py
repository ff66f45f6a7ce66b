"""Attributes that are read once for each node, and not each time that it is computed."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["read_once"]

Model = TypeVar("Model")

#: Nodes whose attributes are kept; beyond them, those that were used longest ago are read again.
_KEPT = 32


def read_once(read: Callable[[Mapping[str, Any]], Model]) -> Callable[[Mapping[str, Any]], Model]:
    """Remember what a function makes of attributes, as long as they are the very same objects.

    Parameters
    ----------
    read : callable
        `read(attributes) -> model`; neither is changed by anyone.
    """
    # The values are kept beside the model, so that no other object gets their identity.
    known: OrderedDict[tuple[Any, ...], tuple[tuple[Any, ...], Model]] = OrderedDict()

    @functools.wraps(read)
    def again(attributes: Mapping[str, Any]) -> Model:
        values = tuple(attributes.values())
        key = (*attributes, *map(id, values))
        if key not in known:
            known[key] = values, read(attributes)
            if len(known) > _KEPT:
                known.popitem(last=False)
        known.move_to_end(key)
        return known[key][1]

    return again
