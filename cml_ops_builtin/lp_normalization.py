"""LpNormalization: the elements along an axis divided by their p-norm; zeros stay zeros.

Under encryption each element costs one lookup for its power and one for its logarithm, each norm
one; the quotient lives in the decode. Zeros become the smallest number that it can show.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.encrypted_normalizing import divided_by_power


def _checked(x, axis, p):
    if p not in (1, 2):
        raise AttributeValueError("p", p, "1 or 2")
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    return axis % x.ndim


def lp_normalization(x, *, axis, p):
    axis = _checked(x, axis, p)
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    if p == 1:
        norm = np.abs(wide).sum(axis=axis, keepdims=True)
    else:
        norm = np.sqrt(np.square(wide).sum(axis=axis, keepdims=True))
    zero = norm == 0
    quotient = wide / np.where(zero, np.ones_like(norm), norm)
    return (np.where(zero, np.zeros_like(norm), quotient).astype(x.dtype, copy=False),)


class QuantizedLpNormalization:
    """LpNormalization inside the circuit."""

    def __call__(self, ctx: LoweringContext, x, *, axis, p):
        axis = _checked(x, axis, p)

        def inverse(total):
            norm = np.maximum(total, 0) ** (1 / p)
            return np.where(norm > 0, 1 / np.where(norm > 0, norm, 1), 0)

        return (divided_by_power(ctx, x, p, (axis,), inverse),)


@hookimpl
def cml_op():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LpNormalization", since_versions=(1, 22)),
        numpy_op=lp_normalization,
        quantized_op=QuantizedLpNormalization(),
        tail=True,
        examples=(
            OpExample((x,), tolerance=0.04, name="Euclidean norm"),
            OpExample(
                (x,),
                {"p": 1},
                outputs=(np.array([[3 / 7, 4 / 7], [0.0, 0.0], [-0.25, 0.75]], dtype=np.float32),),
                tolerance=0.03,
                name="sum of absolute values",
            ),
            OpExample((x[::2],), n_bits=2, tolerance=0.3, name="at two bits"),
            OpExample(
                (x[:2],), {"axis": 0}, opset=21, tolerance=0.01, name="first axis, earlier revision"
            ),
        ),
    )
