"""Multinomial: classes drawn at random, each row by its own unnormalized log probabilities."""

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
from cml_ops_builtin._shared.element_types import element_type
from cml_ops_builtin._shared.random_numbers import generator


def multinomial(x, *, sample_size, dtype, seed):
    if sample_size < 1:
        raise AttributeValueError("sample_size", sample_size, "at least 1")
    wanted = element_type("dtype", dtype)
    if wanted not in (np.int32, np.int64):
        raise AttributeValueError("dtype", dtype, "6 (int32) or 7 (int64)")
    if x.ndim != 2 or not x.shape[1]:
        raise AttributeValueError("shape of input", x.shape, "(batch, classes)")
    wide = x.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():
        raise ValueError("every row of the input needs a finite largest log probability")
    share = np.cumsum(np.exp(wide - top), axis=1)
    share /= share[:, -1:]
    check_size((len(x), sample_size), np.float64)
    drawn = generator(seed).random_sample((len(x), sample_size))
    # The first class up to which the shares exceed the number drawn; never one without a share.
    places = [np.searchsorted(*row, side="right") for row in zip(share, drawn, strict=True)]
    return (np.array(places, dtype=wanted).reshape(drawn.shape),)


@hookimpl
def cml_op():
    never = -np.inf
    certain = np.float32([[never, 2, never], [0, never, never]])
    return OpPlugin(
        schema=OpSchema("Multinomial", since_versions=(7, 22)),
        numpy_op=multinomial,
        examples=(
            OpExample(
                (certain,),
                {"sample_size": 3},
                (np.int32([[1, 1, 1], [0, 0, 0]]),),
                encrypted=(),
                name="certain",
            ),
            OpExample(
                (np.float64([[0, np.log(3)]]),),
                {"sample_size": 6, "seed": 0.0, "dtype": 7},
                (np.array([[1, 1, 1, 1, 1, 1]]),),
                encrypted=(),
                opset=7,
                name="a seed",
            ),
        ),
    )
