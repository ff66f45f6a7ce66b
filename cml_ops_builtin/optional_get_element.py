"""OptionalGetElement: the value of an optional that is not empty."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def optional_get_element(value):
    if value is None:
        raise ValueError("the optional is empty")
    return (value,)


@hookimpl
def cml_op():
    x = np.array([1.0, 2.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("OptionalGetElement", since_versions=(15, 18, 28)),
        numpy_op=optional_get_element,
        examples=(
            OpExample((x,), {}, (x,), encrypted=(), name="a tensor"),
            OpExample(((x, x),), {}, ((x, x),), encrypted=(), name="a sequence"),
        ),
    )
