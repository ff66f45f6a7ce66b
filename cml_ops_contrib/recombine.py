"""Recombine (domain cml): a sum of integer results, each counted by its weight, and a constant.

The client's part of what TreePaths computes: results are divided so that each of them has few
bits, and put together after decryption. How many they are is only known when a model is quantized,
so there may be weights for several numbers of them. The last row of weights is the constant.
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


def _fitting(results, weights):
    """The weights of so many results, and the constant."""
    *join, base = next(each for each in weights if len(each) == results + 1)
    return np.array(join, dtype=np.float64).reshape(results, -1), base


def recombine(x, *weights):
    join, base = _fitting(x.shape[1], weights)
    return ((x.astype(np.float64) @ join + base).astype(base.dtype),)


class QuantizedRecombine:
    """The same on the server."""

    def __call__(self, ctx: LoweringContext, x, *weights):
        if any(isinstance(array, EncryptedTensor) for array in weights):
            ctx.refuse("its weights are encrypted", "Only X may be.")
        join, base = _fitting(x.shape[1], weights)
        result = elementwise(ctx, np.add, _product(ctx, x, join), base)
        return (attrs.evolve(result, dtype=base.dtype),)


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


def written(writer: GraphWriter, x, *weights):
    first, last, end = writer.constant([0]), writer.constant([-1]), writer.constant([2**31])
    chosen = _chosen(writer, x, weights)
    base = writer.add("Slice", chosen, last, end)
    join = writer.cast(writer.add("Slice", chosen, first, last), np.float64)
    product = writer.add("MatMul", writer.cast(x, np.float64), join)
    total = writer.add("Add", product, writer.cast(base, np.float64))
    return (writer.add("CastLike", total, base),)


def _chosen(writer: GraphWriter, x, weights):
    """The weights of as many results as there are, with the constant."""
    if len(weights) == 1:
        return weights[0]
    zero, one, two = (writer.constant([k]) for k in range(3))
    sizes = [writer.add("Slice", writer.add("Shape", each), zero, one) for each in weights]
    sizes = writer.add("Concat", *sizes, axis=0)
    size = writer.add("Add", writer.add("Slice", writer.add("Shape", x), one, two), one)
    starts = writer.add("CumSum", sizes, writer.constant(0), exclusive=1)
    fits = writer.cast(writer.add("Equal", sizes, size), np.int64)
    start = writer.add("ReduceSum", writer.add("Mul", starts, fits), zero)
    whole = writer.add("Concat", *weights, axis=0)
    return writer.add("Slice", whole, start, writer.add("Add", start, size))


@hookimpl
def cml_op():
    x = np.array([[3, -1], [0, 2]])
    weights = np.float32([[1.0, 0.5], [-0.25, 2.0], [0.5, 0.0]])
    result = np.float32([[3.75, -0.5], [0.0, 4.0]])
    return OpPlugin(
        schema=OpSchema("Recombine", since_versions=(1,), domain="cml"),
        numpy_op=recombine,
        quantized_op=QuantizedRecombine(),
        body=written,
        tail=True,
        examples=(
            OpExample((x, weights), outputs=(result,), tolerance=0.01, name="two results"),
            OpExample(
                (x, np.float32([[1.0, 1.0], [0.0, 0.5]]), weights),
                outputs=(result,),
                tolerance=0.01,
                name="one result or two",
            ),
        ),
        restrictions="its weights must be clear",
    )
