"""CDist: Euclidean distances between the rows of two matrices."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl

METRICS = ("sqeuclidean", "euclidean")


def cdist(a, b, *, metric):
    """Return the (squared) distance of each row of A to each row of B."""
    refuse_others(metric)
    # |a|^2 + |b|^2 - 2 ab takes no array of all differences, as onnxruntime does.
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    squares = np.abs(squares).astype(a.dtype, copy=False)
    return (np.sqrt(squares) if metric == "euclidean" else squares,)


def body(writer, a, b, *, metric):
    """Write it as squares, which take a lookup for each element of a row, and a product."""
    refuse_others(metric)
    two = writer.constant(-2, np.float32)
    product = writer.add("Mul", writer.add("Einsum", a, b, equation="ik,jk->ij"), two)
    norms = [
        writer.add("Einsum", writer.add("Mul", x, x), equation=equation)
        for x, equation in ((a, "ik->i"), (b, "jk->j"))
    ]
    column = writer.add("Reshape", norms[0], writer.constant([-1, 1]))
    squares = writer.add("Abs", writer.add("Add", writer.add("Add", product, column), norms[1]))
    return (writer.add("Sqrt", squares) if metric == "euclidean" else squares,)


def refuse_others(metric):
    """Refuse a metric that onnxruntime does not have."""
    if metric not in METRICS:
        raise AttributeValueError("metric", metric, " or ".join(METRICS))


@hookimpl
def cml_op():
    """CDist of com.microsoft, as skl2onnx writes nearest neighbours and Gaussian processes."""
    a = np.float32([[1, -2, 0.5]])
    b = np.float32([[1, 0, 0.5], [-1, -1, 0], [2, 2, -1]])
    squares = np.float32([[4, 5.25, 19.25]])
    return OpPlugin(
        schema=OpSchema(
            "CDist", (1,), domain="com.microsoft", attribute_defaults={"metric": "sqeuclidean"}
        ),
        numpy_op=cdist,
        body=body,
        examples=(
            OpExample((a, b), outputs=(squares,), lookups=6, max_bits=4),
            OpExample(
                (a, b),
                {"metric": "euclidean"},
                (np.sqrt(squares),),
                lookups=6,
                max_bits=4,
                name="euclidean",
            ),
        ),
        restrictions="quantized from opset 12 on",
    )
