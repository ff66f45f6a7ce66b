"""SVC and SVR: a weighted sum of kernels of the support vectors.

The kernel of each support vector takes a lookup, and that of the radial basis function one more
for the square of each feature; a linear kernel takes none. SVC decides between each pair of
classes, and the client counts the votes.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.heads import Result

__all__ = ["support_vectors"]


def support_vectors(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of an SVC or SVR."""
    classes = len(getattr(estimator, "classes_", ()))
    weights = _pairs(estimator) if classes > 2 else estimator.dual_coef_.T
    vectors = np.asarray(estimator.support_vectors_, dtype=np.float64)
    if estimator.kernel == "linear":
        product = writer.add("MatMul", x, writer.constant(vectors.T @ weights, np.float32))
    else:
        kernel = _kernel(writer, x, estimator, vectors)
        product = writer.add("MatMul", kernel, writer.constant(weights, np.float32))
    decision = writer.add("Add", product, writer.constant(estimator.intercept_, np.float32))
    if classes <= 2:
        return Result(decision, "scores" if classes else "values")
    return _voted(writer, decision, estimator, classes)


def _kernel(writer: GraphWriter, x: str, estimator: Any, vectors: np.ndarray) -> str:
    gamma, free = estimator._gamma, estimator.coef0
    if estimator.kernel == "rbf":
        center = vectors.mean(axis=0)
        z = writer.add("Sub", x, writer.constant(center, np.float32))
        both = writer.add("Concat", z, writer.add("Mul", z, z), axis=1)
        points = vectors - center
        weights = np.concatenate([2.0 * gamma * points.T, np.full_like(points.T, -gamma)])
        product = writer.add("MatMul", both, writer.constant(weights, np.float32))
        norms = writer.constant(-gamma * np.square(points).sum(axis=1), np.float32)
        return writer.add("Exp", writer.add("Add", product, norms))
    if estimator.kernel not in ("poly", "sigmoid"):
        raise ValueError(f"kernel={estimator.kernel!r} has no form in ONNX")
    product = writer.add("MatMul", x, writer.constant(gamma * vectors.T, np.float32))
    shifted = writer.add("Add", product, writer.constant(free, np.float32))
    if estimator.kernel == "sigmoid":
        return writer.add("Tanh", shifted)
    return writer.add("Pow", shifted, writer.constant(estimator.degree, np.float32))


def _pairs(estimator: Any) -> np.ndarray:
    """Weights of all support vectors in the decision between each pair of classes.

    libsvm keeps those of a vector of class i against class j in row j - 1 if i < j, else j.
    """
    ends = np.cumsum([0, *estimator.n_support_])
    columns = []
    for i, j in combinations(range(len(estimator.classes_)), 2):
        column = np.zeros(ends[-1])
        for own, row in ((i, j - 1), (j, i)):
            part = slice(ends[own], ends[own + 1])
            column[part] = estimator.dual_coef_[row, part]
        columns.append(column)
    return np.stack(columns, axis=1)


def _voted(writer: GraphWriter, decision: str, estimator: Any, classes: int) -> Result:
    """Votes of all pairs, with how clear they were to tell apart classes of as many votes.

    As scikit-learn's `_ovr_decision_function` has it.
    """
    pairs = list(combinations(range(classes), 2))
    own = [[k for k, pair in enumerate(pairs) if c in pair] for c in range(classes)]
    sign = [[1.0 if pairs[k][0] == c else -1.0 for k in own[c]] for c in range(classes)]
    each = writer.add("Gather", decision, writer.constant(own), axis=1)
    margins = writer.add("Mul", each, writer.constant(sign, np.float32))
    won = writer.cast(writer.add("Greater", margins, writer.constant(0.0, np.float32)), np.float32)
    # Sums in a form that is the client's: of what is not negative.
    votes = writer.add("ReduceL1", won, axes=[2], keepdims=0)
    places = writer.add("ArgMax", votes, axis=1, keepdims=0)
    if estimator.decision_function_shape == "ovo":
        return Result(decision, "scores", places, len(pairs))
    gains, losses = (
        writer.add("ReduceL1", writer.add("Relu", part), axes=[2], keepdims=0)
        for part in (margins, writer.add("Neg", margins))
    )
    sums = writer.add("Sub", gains, losses)
    size = writer.add("Add", writer.add("Abs", sums), writer.constant(1.0, np.float32))
    size = writer.add("Mul", size, writer.constant(3.0, np.float32))
    scores = writer.add("Add", votes, writer.add("Div", sums, size))
    return Result(scores, "scores", "" if estimator.break_ties else places)
