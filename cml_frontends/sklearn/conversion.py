"""Fitted estimators and pipelines as ONNX models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import onnx

from cml_core.errors import CmlError, ConfigError, ExporterError
from cml_core.numpy_module import NumpyModule
from cml_frontends.optional import require
from cml_frontends.sklearn.agreement import difference, difference_on_drawn, lost_in_float32
from cml_frontends.sklearn.assembly import INPUT, finish, new_writer
from cml_frontends.sklearn.bodies.library import by_skl2onnx, preprocessing, transformed
from cml_frontends.sklearn.drawing import drawn_samples
from cml_frontends.sklearn.heads import classifier_outputs, link_of, regressor_outputs
from cml_frontends.sklearn.hummingbird import by_hummingbird, has_converter
from cml_frontends.sklearn.originals import steps_of
from cml_frontends.sklearn.table import row_of

__all__ = ["Via", "sklearn_to_onnx"]

Via = Literal["auto", "skl2onnx", "hummingbird"]


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
        Samples on which the model is compared with the estimator, by default some that are
        drawn between its thresholds, or from a normal distribution. Hummingbird needs some.
    via : {"auto", "skl2onnx", "hummingbird"}
        The converter: skl2onnx (with onnxmltools for XGBoost and LightGBM, and graphs of our own
        where these have none that serves), or Hummingbird and then PyTorch's exporter, which
        has no `scores` beside `probabilities`. "auto" is the first.

    Raises
    ------
    ExporterError
        The estimator has no converter, or one that gives other predictions than the estimator, or
        float32 cannot tell samples apart that the estimator can.
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
    given = None if X is None else _numbers(X)
    samples = None if given is None else given.astype(np.float32)
    features = _count_features(steps[0] if steps else final, samples, source)
    route = "hummingbird" if via == "hummingbird" else "skl2onnx"
    try:
        write = by_hummingbird if via == "hummingbird" else _by_skl2onnx
        model = write(steps, final, features, samples)
    except (CmlError, MemoryError):
        raise
    except Exception as error:
        reason = _reason(error)
        raise ExporterError(source, ((route, reason),), _hint(route, steps, final)) from error
    row = row_of(final)
    module = None if row is not None and row.has_ties else NumpyModule.from_onnx(model)
    if given is not None:
        reason = lost_in_float32(module, steps, final, given)
        if reason:
            raise ExporterError(source, (("float32", reason),), _FINER)
    if module is not None:
        if samples is not None:
            reason = difference(module, steps, final, samples)
        elif row is not None and row.sees_samples:
            reason = ""  # Its classes may be so far apart elsewhere that rounding decides.
        else:
            inside = int(final.n_features_in_) if steps else features
            blocks = drawn_samples(model, steps, inside)
            reason = difference_on_drawn(module, steps, final, blocks)
        if reason:
            raise ExporterError(source, ((route, reason),), _hint(route, steps, final))
    return model


_FINER = "Subtract an offset from that feature, or scale it, before fitting."


def _hint(route: str, steps: Sequence[Any], final: Any) -> str:
    """Name the other converter, if it knows the estimator and what comes before it."""
    if route == "hummingbird":
        return "skl2onnx may have a converter for it: via='skl2onnx'."
    if any(not has_converter(part) for part in (*steps, final)):
        return ""
    return "Hummingbird may have a converter for it: via='hummingbird'."


def _numbers(X: Any) -> np.ndarray:
    """Samples as they are given, in any dtype of numbers."""
    given = np.asarray(X)
    return given if given.dtype.kind in "biuf" else given.astype(np.float64)


def _by_skl2onnx(
    steps: Sequence[Any], final: Any, features: int, samples: np.ndarray | None
) -> onnx.ModelProto:
    writer, x, inside = new_writer(), INPUT, features
    if steps:
        x = preprocessing(writer, INPUT, steps, features)
        inside = int(final.n_features_in_)
    row = row_of(final)
    if row is None or not row.sees_samples:
        result = (by_skl2onnx if row is None else row.body)(writer, x, final, inside)
    else:
        result = row.body(writer, x, final, inside, samples=transformed(steps, samples))
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


def _reason(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
