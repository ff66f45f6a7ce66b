"""Fitted estimators and pipelines as ONNX models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import onnx

from cml_core.errors import CmlError, ConfigError, ExporterError, NodeError
from cml_core.numpy_module import NumpyModule
from cml_frontends.optional import require
from cml_frontends.sklearn.assembly import INPUT, finish, new_writer
from cml_frontends.sklearn.bodies.library import by_skl2onnx, preprocessing
from cml_frontends.sklearn.heads import classifier_outputs, link_of, regressor_outputs
from cml_frontends.sklearn.hummingbird import by_hummingbird
from cml_frontends.sklearn.originals import steps_of
from cml_frontends.sklearn.table import row_of

__all__ = ["Via", "sklearn_to_onnx"]

Via = Literal["auto", "skl2onnx", "hummingbird"]

#: Samples on which a model is compared with the estimator, and what may come of float32: the
#: share of samples that may differ (on the edge of a threshold), or one of a few, and by how much
#: all others may.
_SAMPLES, _FEW, _CLOSE = 256, 0.02, 1e-3
#: The methods that outputs stand for.
_METHODS = {
    "label": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "variable": "predict",
}


def sklearn_to_onnx(estimator: Any, X: Any = None, *, via: Via = "auto") -> onnx.ModelProto:
    """Turn a fitted estimator, or a pipeline that ends in one, into an ONNX model.

    The model takes float32 `X` of shape `(N, features)`. Classifiers return `label` `(N,)` and,
    as far as the estimator has them, `probabilities` `(N, classes)` and `scores`, in the shape
    that `decision_function` gives; regressors return `variable` `(N, targets)`.

    Parameters
    ----------
    estimator : object
        A fitted classifier or regressor of scikit-learn, XGBoost, LightGBM or this package, a
        pipeline or a search that found one.
    X : array of shape (n, features), optional
        Samples on which the model is compared with the estimator. Hummingbird needs some.
    via : {"auto", "skl2onnx", "hummingbird"}
        The converter: skl2onnx (with onnxmltools for XGBoost and LightGBM, and graphs of our own
        where these have none that serves), or Hummingbird and then PyTorch's exporter, which
        has no `scores` beside `probabilities`. "auto" is the first.

    Raises
    ------
    ExporterError
        The estimator has no converter, or one that gives other predictions than the estimator.
    MissingLibraryError
        The converter is not installed.
    NotFittedError
        The estimator is not fitted; scikit-learn's own error.
    """
    if via not in get_args(Via):
        raise ConfigError("via", via, f"one of {', '.join(map(repr, get_args(Via)))}")
    require("sklearn", "sklearn")
    base = require("sklearn.base", "sklearn")
    steps, final = steps_of(estimator)
    require("sklearn.utils.validation", "sklearn").check_is_fitted(final)
    source = f"the estimator {type(final).__name__}"
    if not (base.is_classifier(final) or base.is_regressor(final)):
        raise ExporterError(source, (("cml", "it is neither a classifier nor a regressor"),))
    binarizer = getattr(final, "_label_binarizer", None)
    several = isinstance(getattr(final, "classes_", None), list)
    if several or getattr(binarizer, "y_type_", "").startswith("multilabel"):
        raise ExporterError(source, (("cml", "it has several outputs, each with its classes"),))
    samples = None if X is None else np.asarray(X, dtype=np.float32)
    features = _count_features(steps[0] if steps else final, samples, source)
    route = "hummingbird" if via == "hummingbird" else "skl2onnx"
    try:
        write = by_hummingbird if via == "hummingbird" else _by_skl2onnx
        model = write(steps, final, features, samples)
    except (CmlError, MemoryError):
        raise
    except Exception as error:
        raise ExporterError(source, ((route, _reason(error)),), _HINTS[route]) from error
    row = row_of(final)
    if samples is not None and (row is None or not row.has_ties):
        reason = _difference(model, steps, final, samples[:_SAMPLES])
        if reason:
            raise ExporterError(source, ((route, reason),), _HINTS[route])
    return model


_HINTS = {
    "skl2onnx": "Hummingbird may have a converter for it: via='hummingbird'.",
    "hummingbird": "skl2onnx may have a converter for it: via='skl2onnx'.",
}


def _by_skl2onnx(
    steps: Sequence[Any], final: Any, features: int, samples: np.ndarray | None
) -> onnx.ModelProto:
    writer, x, inside = new_writer(), INPUT, features
    if steps:
        x = preprocessing(writer, INPUT, steps, features)
        inside = int(final.n_features_in_)
    row = row_of(final)
    result = (by_skl2onnx if row is None else row.body)(writer, x, final, inside)
    if result.kind == "values":
        outputs = regressor_outputs(writer, result, final)
    else:
        outputs = classifier_outputs(writer, result, final.classes_, link_of(final))
        if not hasattr(final, "decision_function"):
            outputs.pop("scores", None)
    return finish(writer, features, outputs)


def _count_features(first: Any, samples: np.ndarray | None, source: str) -> int:
    if samples is not None:
        return int(samples.shape[-1])
    count = getattr(first, "n_features_in_", None)
    if count is None:
        raise ExporterError(source, (("cml", "how many features it takes only X can tell"),))
    return int(count)


def _difference(
    model: onnx.ModelProto, steps: Sequence[Any], final: Any, samples: np.ndarray
) -> str:
    """Say where a model does not give the estimator's own predictions; nothing if it does."""
    module = NumpyModule.from_onnx(model)
    try:
        outputs = module.run({INPUT: samples})
        module.run({INPUT: samples[:1]})  # as encryption does
    except NodeError as error:
        return error.message().rstrip(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these samples have no feature names
        for step in steps:
            samples = step.transform(samples)
        wanted = {name: np.asarray(getattr(final, _METHODS[name])(samples)) for name in outputs}
    for name, expected in wanted.items():
        found = outputs[name]
        if found.size != expected.size:
            return f"its {name} is of shape {found.shape} in place of {expected.shape}"
        found = found.reshape(expected.shape)
        if name == "label":
            off = found != expected
        else:
            off = np.abs(found - expected) > _CLOSE * np.abs(expected).max(initial=0.0)
        count = int(off.reshape(len(off), -1).any(axis=1).sum())
        if count > max(1, _FEW * len(off)):
            return f"its {name} differs from the estimator's for {count} of {len(off)} samples"
    return ""


def _reason(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
