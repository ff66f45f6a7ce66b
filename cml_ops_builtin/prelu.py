"""PRelu: x where it is positive, slope * x elsewhere; the slope broadcasts to x.

With both encrypted, they are packed into one lookup, as wide as both together.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def prelu(x, slope):
    (result,) = _prelu(x, slope)
    if result.shape != x.shape:
        raise AttributeValueError(
            "slope's shape", slope.shape, f"one that broadcasts to x's shape {x.shape}"
        )
    return (result,)


def _prelu(x, slope):
    return (np.where(x < 0, slope * x, x),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    slope = np.array([0.25, 2.0, 1.0, -1.0], dtype=np.float32)
    # Four values each, which two bits hold exactly: wide packed lookups take minutes to encrypt.
    coarse = np.array([[-2.0, -1.0, 0.0, 1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("PRelu", since_versions=(7, 9, 16), kind=OpKind.ELEMENTWISE),
        numpy_op=prelu,
        quantized_op=ElementwiseQuantizedOp(_prelu),
        examples=(
            OpExample((x, slope), name="slope per element"),
            OpExample((x, slope[:1]), name="one slope"),
            OpExample(
                (coarse, np.array([[0.5, 1.5, 0.0, 1.0]], dtype=np.float32)),
                encrypted=(0, 1),
                tolerance=0.01,
                n_bits=2,
                name="both encrypted",
            ),
        ),
    )
