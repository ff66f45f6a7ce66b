"""SVC: a decision between each pair of classes, and the votes that the client counts."""

from __future__ import annotations

import copy
from itertools import combinations
from typing import Any

import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.bodies.library import by_skl2onnx_scores
from cml_frontends.sklearn.heads import Result

__all__ = ["support_vectors"]


def support_vectors(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of an SVC."""
    if callable(estimator.kernel) or estimator.kernel == "precomputed":
        raise ValueError(f"kernel={estimator.kernel!r} has no form in ONNX")
    # The converter's own votes are sums, which would be the server's.
    pairwise = copy.copy(estimator)
    pairwise.decision_function_shape, pairwise.probability = "ovo", False
    result = by_skl2onnx_scores(writer, x, pairwise, features)
    classes = len(estimator.classes_)
    return result if classes == 2 else _voted(writer, result.tensor, estimator, classes)


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
