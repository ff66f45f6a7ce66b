"""CumProd: the products of all elements up to each one along an axis.

Under encryption n elements cost n - 1 products of encrypted numbers, one after another, each of
one or two lookups. Every product is rounded to the activation width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
    multiply,
)
from cml_ops_builtin._shared.cumulating import cumulated, cumulation_axis


def cum_prod(x, axis, *, exclusive, reverse):
    return (cumulated(x, axis, np.multiply, 1, exclusive=exclusive, reverse=reverse),)


def quantized_cum_prod(ctx: LoweringContext, x, axis, *, exclusive, reverse):
    if isinstance(axis, EncryptedTensor):
        ctx.refuse("the axis must be clear")
    place = cumulation_axis(axis, x.ndim)
    size = x.shape[place]
    if size == 0:
        return (x,)
    order = range(size)[::-1] if reverse else range(size)
    parts = [move(ctx, lambda a, k=k: np.take(a, [k], axis=place), [x])[0] for k in order]
    products = parts[:1]
    for part in parts[1 : size - 1 if exclusive else size]:
        products.append(multiply(ctx, products[-1], part))
    if exclusive:
        ones = np.ones(parts[0].shape, dtype=x.dtype)
        products = [ones, *products[: size - 1]]
    if not any(isinstance(product, EncryptedTensor) for product in products):
        return (np.concatenate(products, axis=place),)
    back = products[::-1] if reverse else products
    return move(ctx, lambda *arrays: np.concatenate(arrays, axis=place), back)


@hookimpl
def cml_op():
    x = np.array([[1.5, -2.0, 0.5]], dtype=np.float32)
    column = np.array([[1.0], [2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("CumProd", since_versions=(26,)),
        numpy_op=cum_prod,
        quantized_op=quantized_cum_prod,
        examples=(
            OpExample(
                (x, np.int64(1)),
                {},
                (np.array([[1.5, -3.0, -1.5]], dtype=np.float32),),
                n_bits=3,
                tolerance=0.2,
                name="rows",
            ),
            OpExample(
                (x, np.array([-1])),
                {"exclusive": 1, "reverse": 1},
                (np.array([[-1.0, 0.5, 1.0]], dtype=np.float32),),
                n_bits=3,
                tolerance=0.15,
                name="from the end, without itself",
            ),
            OpExample(
                (column, np.int64(0)),
                {"exclusive": 1},
                (np.array([[1.0], [1.0]], dtype=np.float32),),
                tolerance=0.05,
                name="columns",
            ),
        ),
        restrictions="the axis must be clear; precise for a few elements only, as every product "
        "is rounded",
        tail=True,
    )
