"""RandomNormal: normally distributed numbers; reproducible with a seed."""

from __future__ import annotations

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.random_numbers import normal, real_type


def random_normal(*, shape, dtype, **distribution):
    return (normal(shape, real_type(dtype), **distribution),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("RandomNormal", since_versions=(1, 22)),
        numpy_op=random_normal,
        examples=(
            OpExample((), {"shape": [2, 3], "seed": 7.0}, encrypted=(), name="around 0"),
            OpExample(
                (),
                {"shape": [4], "seed": 1.0, "mean": 2.0, "scale": 0.5, "dtype": 11},
                encrypted=(),
                opset=7,
                name="double precision",
            ),
        ),
    )
