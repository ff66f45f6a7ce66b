"""Bernoulli: 1 with the probability that each element states, 0 otherwise."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.element_types import element_type
from cml_ops_builtin._shared.random_numbers import generator


def bernoulli(x, *, dtype, seed):
    probability = x.astype(np.float64)
    wrong = probability[~((probability >= 0) & (probability <= 1))]
    if wrong.size:
        raise AttributeValueError("input", float(wrong[0]), "probabilities from 0 to 1")
    wanted = x.dtype if dtype is None else element_type("dtype", dtype)
    return (np.asarray(generator(seed).binomial(1, probability)).astype(wanted),)


@hookimpl
def cml_op():
    x = np.float32([[0.0, 0.25, 0.5], [0.75, 1.0, 0.1]])
    return OpPlugin(
        schema=OpSchema("Bernoulli", since_versions=(15, 22)),
        numpy_op=bernoulli,
        examples=(
            OpExample((x,), {"seed": 3.0}, encrypted=(), name="the type of the input"),
            OpExample(
                (np.float64([0, 1, 1]),),
                {"dtype": 9},
                (np.array([False, True, True]),),
                encrypted=(),
                opset=15,
                name="booleans, certain",
            ),
        ),
    )
