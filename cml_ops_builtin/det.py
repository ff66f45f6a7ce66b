"""Det: determinants of square matrices.

Under encryption, of matrices of up to three rows: two products of encrypted numbers for two rows,
nine for three.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.leveling import bits_of
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.products import bilinear


def _rows(x):
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise AttributeValueError("shape of X", tuple(x.shape), "square matrices")
    return x.shape[-1]


def det(x):
    _rows(x)
    return (np.asarray(np.linalg.det(widened(x)), dtype=x.dtype),)


def quantized_det(ctx: LoweringContext, x):
    rows = _rows(x)
    if rows not in (1, 2, 3):
        ctx.refuse(
            f"its matrices have {rows} rows, and products of encrypted numbers would be multiplied "
            "again and again",
            "Up to three rows are possible.",
        )

    bits = bits_of(ctx)

    def row(number, columns, negated=False):
        (part,) = move(ctx, lambda a: a[..., number, columns], [x])
        return elementwise(ctx, np.negative, part) if negated else part

    def sum_of(*terms, levels):
        return bilinear(ctx, terms, levels=levels, operands=2**bits)

    if rows == 1:
        return (row(0, 0),)
    if rows == 2:
        terms = (row(0, 0), row(1, 1)), (row(0, 1), row(1, 0, negated=True))
        return (sum_of(*terms, levels=2 ** (bits + 2)),)
    # Row 0 times the cross product of rows 1 and 2.
    after, before = [1, 2, 0], [2, 0, 1]
    terms = (row(1, after), row(2, before)), (row(1, before), row(2, after, negated=True))
    minors = sum_of(*terms, levels=2 ** (bits + 3))
    terms = [
        (row(0, place), move(ctx, lambda a, k=place: a[..., k], [minors])[0]) for place in range(3)
    ]
    return (sum_of(*terms, levels=2 ** (bits + 2)),)


@hookimpl
def cml_op():
    two = np.array([[3.0, -1.0], [2.0, -4.0]], dtype=np.float32)
    three = np.array([[4.0, -1.0, 1.0], [0.0, 3.0, -2.0], [-3.0, 1.0, 4.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Det", since_versions=(11, 22)),
        numpy_op=det,
        quantized_op=quantized_det,
        examples=(
            OpExample(
                (np.stack([two, two[::-1]]),), n_bits=3, tolerance=0.05, lookups=8, name="two rows"
            ),
            OpExample(
                (three[np.newaxis],),
                n_bits=3,
                tolerance=0.15,
                opset=11,
                name="three rows",
            ),
            OpExample((two[np.newaxis, :1, 1:],), tolerance=0.05, name="one row"),
            OpExample((np.eye(5, dtype=np.float64) + 0.1,), encrypted=(), name="five rows"),
        ),
        restrictions="the matrices must have at most three rows",
    )
