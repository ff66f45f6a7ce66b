"""RandomUniform: numbers between two bounds, all equally likely; reproducible with a seed."""

from __future__ import annotations

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.random_numbers import real_type, uniform


def random_uniform(*, shape, dtype, **distribution):
    return (uniform(shape, real_type(dtype), **distribution),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("RandomUniform", since_versions=(1, 22)),
        numpy_op=random_uniform,
        examples=(
            OpExample((), {"shape": [2, 3], "seed": 7.0}, encrypted=(), name="from 0 to 1"),
            OpExample(
                (),
                {"shape": [4], "seed": 1.0, "low": -2.0, "high": 3.0, "dtype": 11},
                encrypted=(),
                opset=7,
                name="double precision",
            ),
        ),
    )
