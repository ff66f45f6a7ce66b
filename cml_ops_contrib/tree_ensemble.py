"""TreeEnsemble: what the leaves that a sample reaches in all trees add up to.

Takes the place of TreeEnsembleRegressor and -Classifier in ai.onnx.ml 5. Quantized through its
body, TreePaths; `Recombine` and what `post_transform` asks for are the client's.
"""

from __future__ import annotations

import numpy as np
from onnx.numpy_helper import from_array

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
from cml_ops_contrib._shared.tree_scores import samples_of, write_sums
from cml_ops_contrib._shared.trees import flat_ensemble

_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def _named(name, number, names):
    if not 0 <= number < len(names):
        expected = ", ".join(f"{k} ({n})" for k, n in enumerate(names))
        raise AttributeValueError(name, number, expected)
    return names[number]


class _Model:
    """The attributes, checked."""

    def __init__(self, attributes):
        self.ensemble = flat_ensemble(attributes)
        self.targets = self.ensemble.leaves.shape[1]
        self.how = _named("aggregate_function", attributes["aggregate_function"], _AGGREGATES)
        self.post_transform = _named("post_transform", attributes["post_transform"], _TRANSFORMS)
        self.dtype = self.ensemble.leaves.dtype


_read = read_once(_Model)


def tree_ensemble(x, **attributes):
    model = _read(attributes)
    scores = model.ensemble.aggregated(samples_of(x, model.ensemble), model.how)
    return (transformed(scores.astype(model.dtype), model.post_transform).astype(model.dtype),)


def written(writer: GraphWriter, x, **attributes):
    model = _read(attributes)
    base = np.zeros(model.targets)
    scores = write_sums(writer, x, model.ensemble, model.how, base, model.dtype)
    return (write_transformed(writer, scores, model.post_transform, model.targets),)


@hookimpl
def cml_op():
    x = np.float32([[1.2, 3.4, -0.12], [1.66, 4.14, 1.77]])
    leaves = np.float32([5.23, 12.12, -12.23, 7.21])
    tree = {
        "tree_roots": [0],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": from_array(np.uint8([0, 0, 0])),
        "nodes_splits": from_array(np.float32([3.14, 1.2, 4.2])),
        "nodes_truenodeids": [1, 0, 1],
        "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 2, 3],
        "nodes_falseleafs": [0, 1, 1],
        "leaf_targetids": [0, 1, 0, 1],
        "leaf_weights": from_array(leaves),
        "n_targets": 2,
    }
    members = {
        **tree,
        "nodes_featureids": [0, 1, 2],
        "nodes_modes": from_array(np.uint8([6, 4, 1])),
        "nodes_splits": from_array(np.float32([0.0, 3.4, 0.0])),
        "membership_values": from_array(np.float32([1.2, 2.0, np.nan])),
        "aggregate_function": 0,
    }
    return OpPlugin(
        schema=OpSchema("TreeEnsemble", since_versions=(5,), domain="ai.onnx.ml"),
        numpy_op=tree_ensemble,
        body=written,
        examples=(
            OpExample(
                (x,),
                tree,
                (np.float32([[5.23, 0.0], [-12.23, 0.0]]),),
                tolerance=0.02,
                name="one tree",
            ),
            OpExample(
                (x,),
                members,
                (np.float32([[5.23, 0.0], [0.0, 7.21]]),),
                tolerance=0.02,
                name="members of a set",
            ),
        ),
        restrictions="MIN and MAX are not encrypted, and missing values are not",
    )
