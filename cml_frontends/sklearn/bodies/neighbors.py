"""KNeighborsClassifier: distances to all training samples are one product with weights.

The square of a distance is |x|^2 - 2 x·t + |t|^2. The first term is the same for all training
samples t, so that their order is known without it, and no lookup is needed. The client picks the
nearest and lets them vote.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.heads import Result

__all__ = ["nearest_neighbors"]


def nearest_neighbors(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of a KNeighborsClassifier with Euclidean distances and equal votes."""
    is_euclidean = estimator.effective_metric_ in ("euclidean", "sqeuclidean")
    if not is_euclidean or estimator.weights != "uniform":
        raise ValueError("only Euclidean distances and uniform weights have a form in integers")
    known = np.asarray(estimator._fit_X, dtype=np.float64)
    center = known.mean(axis=0)
    points = known - center
    z = writer.add("Sub", x, writer.constant(center, np.float32))
    product = writer.add("MatMul", z, writer.constant(-2.0 * points.T, np.float32))
    norms = writer.constant(np.square(points).sum(axis=1), np.float32)
    distances = writer.add("Add", product, norms)
    count = writer.constant([estimator.n_neighbors])
    nearest, votes = f"{writer.prefix}nearest", np.eye(len(estimator.classes_))[estimator._y]
    top = helper.make_node("TopK", [distances, count], [f"{nearest}_distances", nearest], largest=0)
    writer.nodes.append(top)
    each = writer.add("Gather", writer.constant(votes, np.float32), nearest, axis=0)
    # A sum of what is not negative, in a form that is the client's.
    total = writer.add("ReduceL1", each, axes=[1], keepdims=0)
    share = writer.constant(estimator.n_neighbors, np.float32)
    return Result(writer.add("Div", total, share), "probabilities")
