"""Recombine (domain cml): a sum of integer results, each counted by its weight, and a constant.

The client's part of what TreePaths computes: results are divided so that each of them has few
bits, and put together after decryption.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    GraphWriter,
    LoweringContext,
    Opcode,
    OpExample,
    OpPlugin,
    OpSchema,
    affine,
    elementwise,
    hookimpl,
)

#: Largest weight of a target: more bits of a result would be dearer than they are worth.
_LARGEST = 2**8


def recombine(x, join, base):
    dtype = np.result_type(join, base)
    return ((x.astype(np.float64) @ join.astype(np.float64) + base).astype(dtype),)


class QuantizedRecombine:
    """The same on the server."""

    def __call__(self, ctx: LoweringContext, x, join, base):
        if isinstance(join, EncryptedTensor) or isinstance(base, EncryptedTensor):
            ctx.refuse("its weights are encrypted", "Only X may be.")
        result = elementwise(ctx, np.add, _product(ctx, x, join.astype(np.float64)), base)
        return (attrs.evolve(result, dtype=np.result_type(join, base)),)


def _product(ctx, x, join):
    """`x @ join` on integers: exactly where they need not be larger than is worth it."""
    least = np.where(join != 0, np.abs(join), np.inf).min(axis=0, initial=np.inf)
    size = np.maximum(least, np.abs(join).max(axis=0, initial=0.0) / _LARGEST)
    size = np.where(np.isfinite(size), size, 1.0)
    weights = np.rint(join / size)
    view = affine(ctx, x, varying=())
    scale, offset = (float(values.flat[0]) for values in (view.scale, view.offset))
    constants = {"weight": weights.astype(np.int64)}
    register = ctx.builder.emit(Opcode.MATMUL, [view.register], constants=constants)
    start = offset * weights.sum(axis=0) * size
    return EncryptedTensor.on_grid(register, scale * size, start, np.float64)


def written(writer: GraphWriter, x, join, base):
    product = writer.add("MatMul", writer.cast(x, np.float64), writer.cast(join, np.float64))
    total = writer.add("Add", product, writer.cast(base, np.float64))
    return (writer.add("CastLike", total, base),)


@hookimpl
def cml_op():
    x, join = np.array([[3, -1], [0, 2]]), np.float32([[1.0, 0.5], [-0.25, 2.0]])
    return OpPlugin(
        schema=OpSchema("Recombine", since_versions=(1,), domain="cml"),
        numpy_op=recombine,
        quantized_op=QuantizedRecombine(),
        body=written,
        tail=True,
        examples=(
            OpExample(
                (x, join, np.float32([0.5, 0.0])),
                outputs=(np.float32([[3.75, -0.5], [0.0, 4.0]]),),
                tolerance=0.01,
                name="two results",
            ),
        ),
        restrictions="join and base must be clear",
    )
