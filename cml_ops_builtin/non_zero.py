"""NonZero: the positions of the elements that are not zero, a row for each axis."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def non_zero(x):
    if x.ndim == 0:
        # A number has no axes, and so no rows; NumPy takes it for a vector of one element.
        return (np.zeros((0, np.count_nonzero(x)), dtype=np.int64),)
    return (np.array(np.nonzero(x), dtype=np.int64),)


@hookimpl
def cml_op():
    x = np.array([[1.0, 0.0, -2.0], [0.0, 0.0, 3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("NonZero", since_versions=(9, 13)),
        numpy_op=non_zero,
        examples=(
            OpExample((x,)),
            OpExample((np.float32(4.0),), {}, (np.zeros((0, 1), np.int64),), name="a number"),
        ),
    )
