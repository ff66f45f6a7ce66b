"""OptionalHasElement: whether an optional holds a value."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def optional_has_element(value=None):
    return (np.array(value is not None),)


@hookimpl
def cml_op():
    x = np.array([1.0, 2.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("OptionalHasElement", since_versions=(15, 18, 28)),
        numpy_op=optional_has_element,
        examples=(
            OpExample((x,), {}, (np.array(True),), encrypted=(), name="a tensor"),
            OpExample((), {}, (np.array(False),), encrypted=(), name="nothing"),
        ),
    )
