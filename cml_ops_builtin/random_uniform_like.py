"""RandomUniformLike: numbers between two bounds, all equally likely, in the shape of another."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.random_numbers import real_type, uniform


def random_uniform_like(x, *, dtype, **distribution):
    return (uniform(x.shape, real_type(dtype, x), **distribution),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("RandomUniformLike", since_versions=(1, 22)),
        numpy_op=random_uniform_like,
        examples=(
            OpExample(
                (np.zeros((2, 3), dtype=np.float32),),
                {"seed": 7.0, "low": 2.0, "high": 3.0},
                encrypted=(),
                name="the type of the input",
            ),
            OpExample(
                (np.arange(4),),
                {"seed": 1.0, "dtype": 1},
                encrypted=(),
                opset=7,
                name="a type of its own",
            ),
        ),
    )
