"""From what an estimator computes to what a model returns.

All classifiers return labels, and scores or probabilities or both, in the shapes that the
original's methods give. Nothing here is linear, so that the client computes all of it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Literal

import attrs
import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.assembly import Output

__all__ = [
    "Link",
    "Result",
    "classifier_outputs",
    "link_of",
    "regressor_outputs",
]

#: Makes probabilities `(N, C)` of scores: of `(N, 1)` for two classes, else of `(N, C)`.
Link = Callable[[GraphWriter, str, int], str]


@attrs.frozen(slots=True)
class Result:
    """What an estimator computes: a matrix, and what it means.

    Parameters
    ----------
    tensor : str
        Of shape `(N, K)`.
    kind : {"values", "probabilities", "scores"}
        Values of a regressor, probabilities of all classes, or scores: of the second class if
        there are two, else of all.
    places : str
        The number of each sample's class, if that is not the one of the largest entry.
    columns : int or None
        K, where it is not one for each class.
    """

    tensor: str
    kind: Literal["values", "probabilities", "scores"]
    places: str = ""
    columns: int | None = None


def regressor_outputs(writer: GraphWriter, result: Result, estimator: Any) -> dict[str, Output]:
    """The outputs of a regressor: `variable`, of shape `(N, targets)`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this sample has no feature names
        targets = np.size(estimator.predict(np.zeros((1, estimator.n_features_in_))))
    # The converter of MLPRegressor puts one target below the other.
    shaped = writer.add("Reshape", result.tensor, writer.constant([-1, targets]))
    return {"variable": Output(shaped, np.dtype(np.float32), (targets,))}


def classifier_outputs(
    writer: GraphWriter, result: Result, classes: np.ndarray, link: Link | None
) -> dict[str, Output]:
    """The outputs of a classifier: `label`, then `probabilities` and `scores`, or one of them."""
    count, real = len(classes), np.dtype(np.float32)
    tensor, places = result.tensor, result.places
    found: dict[str, Output] = {}
    if result.kind == "probabilities":
        found["probabilities"] = Output(tensor, real, (count,))
    elif count == 2:
        flat = writer.reshape(tensor, [])
        found["scores"] = Output(flat, real)
        positive = writer.add("Greater", flat, writer.constant(0.0, np.float32))
        places = places or writer.cast(positive, np.int64)
        # All that the client computes comes from the flat scores, so that they alone are sent.
        tensor = writer.reshape(flat, [1])
    else:
        found["scores"] = Output(tensor, real, (result.columns or count,))
    if result.kind == "scores" and link is not None:
        made = Output(link(writer, tensor, count), real, (count,))
        found = {"probabilities": made, **found}
    places = places or writer.add("ArgMax", tensor, axis=1, keepdims=0)
    labels = writer.constant(classes, object if classes.dtype.kind in "OUS" else classes.dtype)
    label = writer.add("Gather", labels, places, axis=0)
    return {"label": Output(label, np.dtype(classes.dtype)), **found}


# --- links ---


def _logistic(writer: GraphWriter, scores: str, classes: int) -> str:
    """The logistic function of two classes, softmax of more."""
    if classes > 2:
        return writer.add("Softmax", scores, axis=1)
    return _pair(writer, writer.add("Sigmoid", scores))


def _one_vs_rest(writer: GraphWriter, scores: str, classes: int, *, vanished: float) -> str:
    """The logistic function of each class, divided by the sum of all.

    Written as softmax of its logarithm, which does not vanish where all scores are far below 0.
    scikit-learn has zeros for scores below `vanished`, and takes all classes for as likely then.
    """
    if classes == 2:
        return _logistic(writer, scores, classes)
    size = writer.add("Softplus", writer.add("Neg", scores))
    shares = writer.add("Softmax", writer.add("Neg", size), axis=1)
    largest = writer.add("ReduceMax", scores, axes=[1], keepdims=1)
    zeros = writer.add("Less", largest, writer.constant(vanished, np.float32))
    return writer.add("Where", zeros, writer.constant(1.0 / classes, np.float32), shares)


def _huber(writer: GraphWriter, scores: str, classes: int) -> str:
    """What minimizes the modified Huber loss: (clip(s, -1, 1) + 1) / 2, all equal if all are 0."""
    one = writer.constant(1.0, np.float32)
    clipped = writer.add("Clip", scores, writer.constant(-1.0, np.float32), one)
    each = writer.add("Div", writer.add("Add", clipped, one), writer.constant(2.0, np.float32))
    if classes == 2:
        return _pair(writer, each)
    # The sum of what is not negative, as the L1 norm, which is not linear.
    total = writer.add("ReduceL1", each, axes=[1], keepdims=1)
    nothing = writer.add("Equal", total, writer.constant(0.0, np.float32))
    each = writer.add("Where", nothing, one, each)
    total = writer.add("Where", nothing, writer.constant(classes, np.float32), total)
    return writer.add("Div", each, total)


def _pair(writer: GraphWriter, second: str) -> str:
    first = writer.add("Sub", writer.constant(1.0, np.float32), second)
    return writer.add("Concat", first, second, axis=1)


def _exponential(writer: GraphWriter, scores: str, classes: int) -> str:
    """What minimizes the exponential loss of two classes: the logistic function of 2 s."""
    doubled = writer.add("Mul", scores, writer.constant(2.0, np.float32))
    return _logistic(writer, doubled, classes)


def link_of(estimator: Any) -> Link | None:
    """How an estimator makes probabilities of its scores; None if it makes none here.

    Those of support vector machines are not: what scikit-learn fits for them is deprecated.
    """
    if not hasattr(estimator, "predict_proba") or hasattr(estimator, "support_vectors_"):
        return None
    loss = getattr(estimator, "loss", None)
    if loss == "log_loss" and hasattr(estimator, "coef_"):
        vanished = -np.log(np.finfo(estimator.coef_.dtype).max)
        return functools.partial(_one_vs_rest, vanished=float(vanished))
    return {"modified_huber": _huber, "exponential": _exponential}.get(loss, _logistic)
