"""TreeEnsembleClassifier: the class for which the leaves that a sample reaches add up to most.

Quantized through its body, TreePaths; sums, labels and what `post_transform` asks for are the
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
from cml_ops_contrib._shared.class_labels import class_labels, write_labels
from cml_ops_contrib._shared.once import read_once
from cml_ops_contrib._shared.post_transforms import (
    pair_of,
    transformed,
    write_pair,
    write_transformed,
)
from cml_ops_contrib._shared.tree_scores import base_values, samples_of, write_sums
from cml_ops_contrib._shared.trees import classic_ensemble


class _Model:
    """The attributes, checked."""

    def __init__(self, attributes):
        self.labels = class_labels(
            attributes["classlabels_strings"], attributes["classlabels_int64s"]
        )
        count = len(self.labels)
        if count == 0:
            raise AttributeValueError("number of classlabels", 0, "one for each class")
        used = set(attributes["class_ids"] or ())
        # Two classes of which the leaves know one: it is the second, whatever its number.
        self.pair = count == 2 and len(used) == 1
        if self.pair:
            attributes = {**attributes, "class_ids": [0] * len(attributes["class_ids"])}
        self.targets = 1 if self.pair else count
        self.ensemble = classic_ensemble("class", self.targets, attributes)
        exact = attributes.get("base_values_as_tensor")
        self.base = base_values(attributes["base_values"], exact, self.targets)
        self.post_transform = attributes["post_transform"]
        # Scores that cannot be negative are probabilities, unless they are made such.
        self.signed = bool((self.ensemble.leaves < 0).any()) or self.post_transform == "LOGISTIC"

    @property
    def middle(self):
        """Above which a lone score is for the second class."""
        return np.float32(0.0 if self.signed else 0.5)


_read = read_once(_Model)


def tree_ensemble_classifier(x, **attributes):
    model = _read(attributes)
    rows = samples_of(x, model.ensemble)
    scores = (model.ensemble.aggregated(rows, "SUM") + model.base).astype(np.float32)
    if model.pair:
        places = (scores[:, 0] > model.middle).astype(np.int64)
        return model.labels[places], pair_of(scores, model.post_transform, signed=model.signed)
    return model.labels[scores.argmax(axis=1)], transformed(scores, model.post_transform)


def written(writer: GraphWriter, x, **attributes):
    model = _read(attributes)
    scores = write_sums(writer, x, model.ensemble, "SUM", model.base, np.float32)
    if model.pair:
        positive = writer.add("Greater", scores, writer.constant(model.middle, np.float32))
        places = writer.cast(writer.add("Reshape", positive, writer.constant([-1])), np.int64)
        z = write_pair(writer, scores, model.post_transform, signed=model.signed)
    else:
        places = writer.add("ArgMax", scores, axis=1, keepdims=0)
        z = write_transformed(writer, scores, model.post_transform, model.targets)
    return write_labels(writer, places, model.labels), z


@hookimpl
def cml_op():
    x = np.float32([[0.25, 1.0], [0.75, 3.0], [1.0, -1.0]])
    nodes = {
        "nodes_treeids": [0, 0, 0, 0, 0],
        "nodes_nodeids": [0, 1, 2, 3, 4],
        "nodes_featureids": [0, 0, 1, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 2.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 3, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0],
    }
    shares = {
        "class_treeids": [0] * 7,
        "class_nodeids": [1, 1, 3, 3, 4, 4, 4],
        "class_ids": [0, 1, 1, 2, 0, 1, 2],
        "class_weights": [0.75, 0.25, 0.5, 0.5, 0.125, 0.25, 0.625],
    }
    signed = {
        "class_treeids": [0, 0, 0],
        "class_nodeids": [1, 3, 4],
        "class_ids": [0, 0, 0],
        "class_weights": [1.0, -2.0, 0.5],
    }
    return OpPlugin(
        schema=OpSchema("TreeEnsembleClassifier", since_versions=(1, 3), domain="ai.onnx.ml"),
        numpy_op=tree_ensemble_classifier,
        body=written,
        examples=(
            OpExample(
                (x,),
                {**nodes, **shares, "classlabels_strings": ["a", "b", "c"]},
                (
                    np.array(["a", "c", "b"], dtype=object),
                    np.float32([[0.75, 0.25, 0.0], [0.125, 0.25, 0.625], [0.0, 0.5, 0.5]]),
                ),
                n_outputs=2,
                encrypted=(),
                name="three strings",
            ),
            OpExample(
                (x[:2],),
                {**nodes, **shares, "classlabels_int64s": [5, 3, 8]},
                (np.array([5, 8]), np.float32([[0.75, 0.25, 0.0], [0.125, 0.25, 0.625]])),
                n_outputs=2,
                tolerance=0.02,
                name="three integers",
            ),
            OpExample(
                (x,),
                {**nodes, **signed, "classlabels_int64s": [0, 1]},
                (np.array([1, 1, 0]), np.float32([[-1.0, 1.0], [-0.5, 0.5], [2.0, -2.0]])),
                n_outputs=2,
                tolerance=0.02,
                name="one score of two classes",
            ),
        ),
        restrictions="labels on the server must be integers; missing values are not encrypted",
    )
