"""GaussianNB: for each class, a quadratic function of the features.

The logarithm of a class's likelihood is a sum over features of a parabola in each (scikit-learn
user guide, 1.9.1). With two classes their difference is what decides, which takes one lookup for
each feature; with more, squares of the features do, and the rest is a product with weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.heads import Result

__all__ = ["gaussian_naive_bayes"]

#: How large the terms of a likelihood may be for float32 to hold the likelihood well.
_LARGEST = 1e4


def gaussian_naive_bayes(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of a GaussianNB; they give its joint log likelihoods, or their difference."""
    center = estimator.theta_.mean(axis=0)
    mean, variance = estimator.theta_ - center, estimator.var_
    # log p = a z^2 + b z + c for z = x - center.
    a, b = -0.5 / variance, mean / variance
    prior = np.log(estimator.class_prior_) - 0.5 * np.log(2.0 * np.pi * variance).sum(axis=1)
    c = prior - 0.5 * np.sum(mean**2 / variance, axis=1)
    reach = np.abs(mean).max(axis=0) + 4.0 * np.sqrt(variance.max(axis=0))
    z = writer.add("Sub", x, writer.constant(center, np.float32))
    if np.sum(-a * reach**2 + np.abs(b) * reach, axis=1).max() > _LARGEST:
        # Features of next to no variance: only the parabola as a whole can be told.
        apart = writer.reshape(z, [1, features])
        apart = writer.add("Sub", apart, writer.constant(mean, np.float32))
        square = writer.add("Mul", apart, apart)
        each = writer.add("Mul", square, writer.constant(a, np.float32))
        total, c = writer.add("ReduceSum", each, writer.constant([2]), keepdims=0), prior
    elif len(c) == 2:
        slope = writer.add("Mul", z, writer.constant(a[1] - a[0], np.float32))
        slope = writer.add("Add", slope, writer.constant(b[1] - b[0], np.float32))
        each, c = writer.add("Mul", z, slope), c[1:] - c[:1]
        ones = writer.constant(np.ones((features, 1)), np.float32)
        total = writer.add("MatMul", each, ones)
    else:
        both = writer.add("Concat", z, writer.add("Mul", z, z), axis=1)
        weights = writer.constant(np.concatenate([b.T, a.T]), np.float32)
        total = writer.add("MatMul", both, weights)
    scores = writer.add("Add", total, writer.constant(c, np.float32))
    if len(c) == len(estimator.classes_) == 2:
        second, first = (writer.constant([k]) for k in (1, 0))
        scores = writer.add(
            "Sub", *(writer.add("Gather", scores, k, axis=1) for k in (second, first))
        )
    return Result(scores, "scores")
