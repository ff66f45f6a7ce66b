"""HistGradientBoosting: its trees, which skl2onnx does not turn into ONNX as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.assembly import ML_DOMAIN
from cml_frontends.sklearn.heads import Result

__all__ = ["hist_boosting", "rounded_down"]


def rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 not above each threshold.

    For x in float32, `x <= threshold` holds exactly if it does for that.
    """
    nearest = np.asarray(thresholds, dtype=np.float64).astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf), dtype=np.float32)
    return np.where(nearest > thresholds, below, nearest)


def hist_boosting(writer: GraphWriter, x: str, estimator: Any, features: int) -> Result:
    """Nodes of a HistGradientBoostingClassifier or -Regressor without categorical features."""
    trees = [
        (tree.nodes, target) for trees in estimator._predictors for target, tree in enumerate(trees)
    ]
    if any(nodes["is_categorical"].any() for nodes, _ in trees):
        raise ValueError("categorical features have no form in ONNX; encode them before")
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()
    nodes = np.concatenate([nodes for nodes, _ in trees])
    sizes = [len(nodes) for nodes, _ in trees]
    tree = np.repeat(np.arange(len(trees)), sizes)
    target = np.repeat([target for _, target in trees], sizes)
    number = np.concatenate([np.arange(size) for size in sizes])
    leaf = nodes["is_leaf"].astype(bool)
    threshold = np.where(leaf, 0.0, rounded_down(nodes["num_threshold"]))
    value = writer.add(
        "TreeEnsembleRegressor",
        x,
        domain=ML_DOMAIN,
        n_targets=len(baseline),
        base_values=baseline.tolist(),
        nodes_treeids=tree.tolist(),
        nodes_nodeids=number.tolist(),
        nodes_featureids=nodes["feature_idx"].tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=threshold.tolist(),
        nodes_truenodeids=np.where(leaf, 0, nodes["left"]).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, nodes["right"]).tolist(),
        nodes_missing_value_tracks_true=nodes["missing_go_to_left"].astype(int).tolist(),
        target_treeids=tree[leaf].tolist(),
        target_nodeids=number[leaf].tolist(),
        target_ids=target[leaf].tolist(),
        target_weights=nodes["value"][leaf].tolist(),
    )
    if hasattr(estimator, "classes_"):
        return Result(value, "scores")
    if estimator.loss in ("poisson", "gamma"):
        value = writer.add("Exp", value)
    return Result(value, "values")
