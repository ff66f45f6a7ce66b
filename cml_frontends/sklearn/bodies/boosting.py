"""XGBoost and LightGBM by the converters of onnxmltools, mended where these are not exact."""

from __future__ import annotations

import copy
import json
import warnings
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import helper

from cml_core.errors import ExporterError
from cml_core.graph.writer import GraphWriter
from cml_frontends.optional import require
from cml_frontends.sklearn.assembly import INPUT, OPSET, inline
from cml_frontends.sklearn.bodies.hist_boosting import rounded_down
from cml_frontends.sklearn.heads import Result

__all__ = ["lightgbm_trees", "xgboost_trees"]


def xgboost_trees(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of an XGBClassifier or XGBRegressor.

    Raises
    ------
    ExporterError
        Its booster is not "gbtree": its weights, or those of its trees, have no converter.
    """
    learner = json.loads(estimator.get_booster().save_config())["learner"]
    booster = learner["gradient_booster"]["name"]
    if booster != "gbtree":
        reason = f"XGBoost's booster={booster!r} is not supported, only 'gbtree' is"
        raise ExporterError(f"the estimator {type(estimator).__name__}", (("cml", reason),))
    estimator = copy.copy(estimator)
    # The converter finds a feature's number in its name.
    estimator._Booster = estimator.get_booster().copy()
    estimator._Booster.feature_names = None
    model = _convert("xgboost", estimator, features)
    for node in model.graph.node:
        _spread_targets(node)
    return _result(writer, x, model, estimator)


def lightgbm_trees(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of an LGBMClassifier or LGBMRegressor."""
    estimator = copy.copy(estimator)
    estimator._Booster = _RoundedBooster(estimator.booster_)
    if hasattr(estimator, "classes_"):
        # Labels that are neither integers nor strings would be refused, and none are taken.
        estimator._classes = np.arange(len(estimator.classes_))
    model = _convert("lightgbm", estimator, features)
    if hasattr(estimator, "decision_function") and _sums(model):
        return Result(inline(writer, model, x, "estimator/")[-1], "scores")
    return _result(writer, x, model, estimator)


def _convert(library: str, estimator: Any, features: int) -> onnx.ModelProto:
    converters = require(f"onnxmltools.convert.{library}", library)
    types = require("onnxmltools.convert.common.data_types", library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: onnx.ModelProto = converters.convert(
            estimator,
            initial_types=[(INPUT, types.FloatTensorType([None, features]))],
            target_opset=OPSET,
        )
    return model


def _result(writer: GraphWriter, x: str, model: onnx.ModelProto, estimator: Any) -> Result:
    tensor = inline(writer, model, x, "estimator/")[-1]
    return Result(tensor, "probabilities" if hasattr(estimator, "classes_") else "values")


def _spread_targets(node: onnx.NodeProto) -> None:
    """Give the trees of a regressor of several targets to these in turn, as XGBoost does."""
    found = {attribute.name: attribute for attribute in node.attribute}
    targets = found["n_targets"].i if "n_targets" in found else 1
    if node.op_type != "TreeEnsembleRegressor" or targets == 1:
        return
    found["target_ids"].ints[:] = [tree % targets for tree in found["target_treeids"].ints]
    base = list(found["base_values"].floats)
    found["base_values"].floats[:] = base * targets if len(base) == 1 else base


def _sums(model: onnx.ModelProto) -> bool:
    """Let a classifier's trees give their sums in place of what `post_transform` makes of them.

    Returns whether they are all that there is to the model: boosted trees and not a forest.
    """
    trees = [node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier"]
    plain = {"TreeEnsembleClassifier", "Identity", "Cast", "ZipMap"}
    if len(trees) != 1 or {node.op_type for node in model.graph.node} - plain:
        return False
    (node,) = trees
    attributes = {attribute.name: attribute for attribute in node.attribute}
    node.op_type = "TreeEnsembleRegressor"
    targets = max(attributes["class_ids"].ints) + 1
    for name, attribute in attributes.items():
        attribute.name = name.replace("class_", "target_")
    kept = [a for n, a in attributes.items() if n != "post_transform" and "classlabels" not in n]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("n_targets", targets)])
    del node.output[0]
    return True


@attrs.frozen(slots=True)
class _RoundedBooster:
    """A booster of LightGBM as the converter reads it, with thresholds that float32 holds.

    LightGBM compares in float64. For x in float32, `x <= t` holds exactly if it does for the
    largest float32 not above t, where the converter takes the nearest.
    """

    booster: Any
    is_mock: bool = True

    def dump_model(self) -> dict[str, Any]:
        """What the booster gives, rounded."""
        model: dict[str, Any] = self.booster.dump_model()
        nodes = [tree["tree_structure"] for tree in model["tree_info"]]
        while nodes:
            node = nodes.pop()
            if node.get("decision_type") == "<=":
                node["threshold"] = float(rounded_down(node["threshold"]))
            nodes += [node[side] for side in ("left_child", "right_child") if side in node]
        return model
