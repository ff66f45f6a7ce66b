"""TreeEnsembleRegressor: what the leaves that a sample reaches in all trees add up to.

Quantized through its body, TreePaths; `Recombine` and what `post_transform` asks for are the
client's.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    GraphWriter,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.once import read_once
from cml_ops_contrib._shared.post_transforms import transformed, write_transformed
from cml_ops_contrib._shared.tree_scores import base_values, samples_of, write_sums
from cml_ops_contrib._shared.trees import classic_ensemble

_AGGREGATES = ("SUM", "AVERAGE", "MIN", "MAX")


class _Model:
    """The attributes, checked."""

    def __init__(self, attributes):
        self.targets = attributes["n_targets"] or 1
        self.ensemble = classic_ensemble("target", self.targets, attributes)
        self.how = attributes["aggregate_function"]
        if self.how not in _AGGREGATES:
            expected = f"one of {', '.join(_AGGREGATES)}"
            raise AttributeValueError("aggregate_function", self.how, expected)
        exact = attributes.get("base_values_as_tensor")
        self.base = base_values(attributes["base_values"], exact, self.targets)
        self.post_transform = attributes["post_transform"]


_read = read_once(_Model)


def tree_ensemble_regressor(x, **attributes):
    model = _read(attributes)
    scores = model.ensemble.aggregated(samples_of(x, model.ensemble), model.how) + model.base
    return (transformed(scores.astype(np.float32), model.post_transform),)


def written(writer: GraphWriter, x, **attributes):
    model = _read(attributes)
    scores = write_sums(writer, x, model.ensemble, model.how, model.base, np.float32)
    return (write_transformed(writer, scores, model.post_transform, model.targets),)


@hookimpl
def cml_op():
    x = np.float32([[0.25, 1.0], [0.75, 3.0], [1.0, -1.0]])
    tree = {
        "nodes_treeids": [0, 0, 0, 0, 0],
        "nodes_nodeids": [0, 1, 2, 3, 4],
        "nodes_featureids": [0, 0, 1, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 2.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 3, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0],
        "target_treeids": [0, 0, 0],
        "target_nodeids": [1, 3, 4],
        "target_ids": [0, 0, 0],
        "target_weights": [1.0, -2.0, 0.5],
        "n_targets": 1,
    }
    two = {
        **tree,
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 0, 1, 0, 0, 1, 0, 0],
        "nodes_modes": [*tree["nodes_modes"], "BRANCH_GT", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
        "target_treeids": [0, 0, 0, 1, 1],
        "target_nodeids": [1, 3, 4, 1, 2],
        "target_ids": [0, 0, 0, 0, 0],
        "target_weights": [1.0, -2.0, 0.5, 4.0, -4.0],
    }
    return OpPlugin(
        schema=OpSchema("TreeEnsembleRegressor", since_versions=(1, 3), domain="ai.onnx.ml"),
        numpy_op=tree_ensemble_regressor,
        body=written,
        examples=(
            OpExample(
                (x,), tree, (np.float32([[1.0], [0.5], [-2.0]]),), tolerance=0.01, name="one tree"
            ),
            OpExample(
                (x,),
                {**two, "aggregate_function": "AVERAGE", "base_values": [0.5]},
                (np.float32([[3.0], [2.75], [-2.5]]),),
                tolerance=0.01,
                name="average of two",
            ),
            OpExample(
                (x,),
                {**two, "aggregate_function": "MIN"},
                (np.float32([[1.0], [0.5], [-4.0]]),),
                encrypted=(),
                name="the least of two",
            ),
        ),
        restrictions="MIN and MAX are not encrypted, and missing values are not",
    )
