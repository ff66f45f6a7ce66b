"""Estimators and preprocessing by the converters of skl2onnx."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from cml_core.graph.writer import GraphWriter
from cml_frontends.optional import require
from cml_frontends.sklearn.assembly import INPUT, ML_DOMAIN, ML_OPSET, OPSET, inline
from cml_frontends.sklearn.heads import Result

__all__ = ["Body", "by_skl2onnx", "by_skl2onnx_scores", "preprocessing", "transformed"]

#: `body(writer, x, estimator, features)` writes what an estimator of so many features computes. A
#: body that sees samples takes them as `samples`.
Body = Callable[..., Result]


def preprocessing(writer: GraphWriter, x: str, steps: Sequence[Any], features: int) -> str:
    """Nodes of fitted transformers in a row."""
    pipeline = require("sklearn.pipeline", "sklearn")
    whole = pipeline.Pipeline([(f"step{k}", step) for k, step in enumerate(steps)])
    return inline(writer, _convert(whole, features, {}), x, "steps/")[0]


def transformed(steps: Sequence[Any], samples: np.ndarray | None) -> np.ndarray | None:
    """What fitted transformers in a row make of samples, if there are any."""
    if samples is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these samples have no feature names
        for step in steps:
            samples = step.transform(samples)
    return np.asarray(samples)


def by_skl2onnx(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of a regressor, or of a classifier that has probabilities alone."""
    is_classifier = hasattr(estimator, "classes_")
    if is_classifier and not hasattr(estimator, "predict_proba"):
        raise ValueError("of classifiers that are not this package's, only probabilities are taken")
    model = _convert(estimator, features, {})
    tensor = inline(writer, model, x, "estimator/")[-1]
    return Result(tensor, "probabilities" if is_classifier else "values")


def by_skl2onnx_scores(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of a classifier that has scores, which are asked for in place of probabilities."""
    if getattr(estimator, "loss", None) == "exponential":
        # Its converter then gives no scores; they are those of any other loss.
        estimator = copy.copy(estimator)
        estimator.loss = "log_loss"
    model = _convert(estimator, features, {"raw_scores": True})
    tensor = inline(writer, model, x, "estimator/")[-1]
    if len(estimator.classes_) == 2:  # there are two columns, -s and s
        tensor = writer.add("Gather", tensor, writer.constant([1]), axis=1)
    return Result(tensor, "scores")


def _convert(estimator: Any, features: int, options: dict[str, Any]) -> onnx.ModelProto:
    skl2onnx = require("skl2onnx", "sklearn")
    if getattr(estimator, "classes_", np.arange(0)).dtype.kind not in "iu":
        # Labels that are neither integers nor strings would be refused, and none are taken.
        estimator = copy.copy(estimator)
        estimator.classes_ = np.arange(len(estimator.classes_))
    types = require("skl2onnx.common.data_types", "sklearn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: onnx.ModelProto = skl2onnx.convert_sklearn(
            estimator,
            initial_types=[(INPUT, types.FloatTensorType([None, features]))],
            options={id(estimator): options} if options else None,
            target_opset={"": OPSET, ML_DOMAIN: ML_OPSET},
        )
    return model
