"""CastMap: the values of a map in the order of its integer keys, as numbers or strings.

In float only, as maps cannot be encrypted.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_contrib._shared.maps import as_maps

#: Element type and what fills the gaps of a sparse map.
_TARGETS = {"TO_FLOAT": (np.float32, 0.0), "TO_INT64": (np.int64, 0), "TO_STRING": (object, "0.f")}


def _cast(value, dtype):
    if dtype is object:
        return value if isinstance(value, str) else f"{np.float32(value):f}"
    return dtype(float(value)) if dtype is np.float32 else int(float(value))


def cast_map(x, *, cast_to, map_form, max_map):
    if cast_to not in _TARGETS:
        raise AttributeValueError("cast_to", cast_to, f"one of {', '.join(_TARGETS)}")
    if map_form not in ("DENSE", "SPARSE"):
        raise AttributeValueError("map_form", map_form, "DENSE or SPARSE")
    dtype, gap = _TARGETS[cast_to]
    rows, maps = [], as_maps(x)
    if map_form == "SPARSE":
        check_size((len(maps), max_map), dtype)
    for one in maps:
        if any(key < 0 for key in one) and map_form == "SPARSE":
            raise AttributeValueError("X", sorted(one), "keys of 0 or more, as it is sparse")
        keys = sorted(one) if map_form == "DENSE" else range(max_map)
        rows.append([_cast(one[key], dtype) if key in one else gap for key in keys])
    return (np.array(rows, dtype=dtype).reshape(len(rows), -1 if rows else 0),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("CastMap", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=cast_map,
        examples=(
            OpExample(
                (np.array({4: 0.5, 1: 2.0}, dtype=object),),
                {},
                (np.float32([[2.0, 0.5]]),),
                encrypted=(),
                name="dense floats",
            ),
            OpExample(
                (np.array({3: "7", 1: "2"}, dtype=object),),
                {"map_form": "SPARSE", "max_map": 4, "cast_to": "TO_INT64"},
                (np.array([[0, 2, 0, 7]]),),
                encrypted=(),
                name="sparse strings to integers",
            ),
        ),
        restrictions="in float only: before encryption",
    )
