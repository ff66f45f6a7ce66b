"""Estimators by way of Hummingbird, which makes PyTorch modules of them."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from cml_core.errors import ExporterError, MissingLibraryError
from cml_frontends.optional import require
from cml_frontends.sklearn.assembly import INPUT, finish, inline, new_writer
from cml_frontends.sklearn.bodies.hist_boosting import rounded_down
from cml_frontends.sklearn.heads import Result, classifier_outputs, regressor_outputs
from cml_frontends.torch import torch_to_onnx

__all__ = ["by_hummingbird", "has_converter"]

#: Trees as matrix products, whatever their depth: nothing in them is indexed by what is encrypted.
_IN_MATRICES = {"tree_implementation": "gemm"}


def by_hummingbird(
    steps: Sequence[Any], final: Any, features: int, samples: np.ndarray | None
) -> onnx.ModelProto:
    """Return the model of fitted transformers and an estimator.

    Raises
    ------
    ExporterError
        There are no samples to trace with, or the estimator is a classifier without
        probabilities, for which Hummingbird gives no scores.
    """
    source = f"the estimator {type(final).__name__}"
    if samples is None:
        raise ExporterError(source, (("hummingbird", "it needs samples: give it some as X"),))
    is_classifier = hasattr(final, "classes_")
    if is_classifier and not hasattr(final, "predict_proba"):
        raise ExporterError(source, (("hummingbird", "it gives no scores of this classifier"),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hummingbird = require("hummingbird.ml", "hummingbird")
        whole = _understood(final)
        if steps:
            whole = require("sklearn.pipeline", "sklearn").make_pipeline(*steps, whole)
        module = hummingbird.convert(whole, "torch", samples[:2], extra_config=_IN_MATRICES).model
        _mend(module)
        model = torch_to_onnx(module, samples[:2], exporter="torchscript", input_names=[INPUT])
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    writer = new_writer(opset=opset)
    tensor = inline(writer, model, INPUT, "estimator/")[-1]
    if is_classifier:
        result = Result(tensor, "probabilities")
        outputs = classifier_outputs(writer, result, final.classes_, None)
    else:
        outputs = regressor_outputs(writer, Result(tensor, "values"), final)
    return finish(writer, features, outputs, model.opset_import)


def has_converter(part: Any) -> bool:
    """Whether Hummingbird is installed and knows an estimator or a transformer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = require("hummingbird.ml.supported", "hummingbird")
    except MissingLibraryError:
        return False
    return type(part) in known.sklearn_api_operator_name_map


def _understood(final: Any) -> Any:
    """An estimator in a form that Hummingbird understands.

    It takes integer labels only, looks for softmax in a parameter that scikit-learn no longer
    has, and would take the nearest float32 for a threshold.
    """
    final = copy.deepcopy(final)
    _round_thresholds(final)
    classes = getattr(final, "classes_", None)
    if classes is not None and classes.dtype.kind not in "iu":
        final.classes_ = np.arange(len(classes))
    if type(final).__name__ == "LogisticRegression" and not hasattr(final, "multi_class"):
        final.multi_class = "multinomial" if len(classes) > 2 else "ovr"
    return final


def _round_thresholds(final: Any) -> None:
    for tree in np.ravel(getattr(final, "estimators_", [final])):
        if hasattr(tree, "tree_"):
            tree.tree_.threshold[:] = rounded_down(tree.tree_.threshold)


def _mend(module: Any) -> None:
    """Replace what makes a tensor when called, and what takes one sample for a missing axis."""
    torch = require("torch", "torch")

    def pair(total: Any, shift: Any) -> Any:
        second = torch.sigmoid(shift(total))
        return torch.cat([1.0 - second, second], dim=1)

    def sums(trees: Any, part: Any) -> Any:
        each = torch.flatten(trees, 1).t()
        shape = (-1, part.n_gbdt_classes, part.n_trees_per_class)
        return part.post_transform(each.reshape(shape).sum(2))

    for part in module.modules():
        transform = getattr(part, "post_transform", None)
        if type(transform).__name__ == "ApplySigmoidBasePredictionPostTransform":
            part.post_transform = functools.partial(pair, shift=transform.base_prediction)
        if type(part).__name__ == "GEMMGBDTImpl":
            part.aggregation = functools.partial(sums, part=part)
