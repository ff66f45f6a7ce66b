"""LinearClassifier: the class of the largest score, each a weighted sum of the features.

Quantized as a MatMul: no lookup. Labels and what `post_transform` asks for are the client's.
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
from cml_ops_contrib._shared.post_transforms import (
    pair_of,
    transformed,
    write_pair,
    write_transformed,
)
from cml_ops_contrib._shared.rows import as_rows, matrix_of, write_rows


class _Model:
    """The attributes, checked: weights `(F, C)`, bias `(C,)`, labels."""

    def __init__(self, classlabels_ints, classlabels_strings, coefficients, intercepts):
        labels = class_labels(classlabels_strings, classlabels_ints)
        # Without intercepts there is a row of coefficients for each label.
        self.scores = len(intercepts) if intercepts else len(labels)
        self.weights = matrix_of("coefficients", coefficients, self.scores).T
        bias = intercepts or np.zeros(self.scores)
        self.bias = np.asarray(bias, dtype=np.float32)
        self.pair = self.scores == 1 and len(labels) > 0
        if labels.size and (len(labels) < self.scores or (self.pair and len(labels) != 2)):
            expected = "2 for one score, else one for each"
            raise AttributeValueError("number of classlabels", len(labels), expected)
        self.labels = labels if len(labels) else np.arange(max(2, self.scores))


def linear_classifier(
    x,
    *,
    classlabels_ints,
    classlabels_strings,
    coefficients,
    intercepts,
    multi_class,
    post_transform,
):
    model = _Model(classlabels_ints, classlabels_strings, coefficients, intercepts)
    scores = as_rows(x, len(model.weights)) @ model.weights + model.bias
    if model.scores == 1:
        places = (scores[:, 0] > 0).astype(np.int64)
    else:
        places = scores.argmax(axis=1)
    if model.pair:
        return model.labels[places], pair_of(scores, post_transform, signed=False)
    return model.labels[places], transformed(scores, post_transform)


def written(
    writer: GraphWriter,
    x,
    *,
    classlabels_ints,
    classlabels_strings,
    coefficients,
    intercepts,
    multi_class,
    post_transform,
):
    model = _Model(classlabels_ints, classlabels_strings, coefficients, intercepts)
    rows = write_rows(writer, x, len(model.weights))
    product = writer.add("MatMul", rows, writer.constant(model.weights, np.float32))
    scores = writer.add("Add", product, writer.constant(model.bias, np.float32))
    if model.scores == 1:
        positive = writer.add("Greater", scores, writer.constant(0.0, np.float32))
        flat = writer.add("Reshape", positive, writer.constant([-1]))
        places = writer.cast(flat, np.int64)
    else:
        places = writer.add("ArgMax", scores, axis=1, keepdims=0)
    if model.pair:
        z = write_pair(writer, scores, post_transform, signed=False)
    else:
        z = write_transformed(writer, scores, post_transform, model.scores)
    return write_labels(writer, places, model.labels), z


@hookimpl
def cml_op():
    x = np.array([[1.0, -0.5], [0.25, 1.5], [-1.0, -1.0]], dtype=np.float32)
    three = {"coefficients": [1.0, 0.0, -1.0, 2.0, 0.5, -1.5], "intercepts": [0.0, 0.5, -0.5]}
    one = {"coefficients": [1.0, -2.0], "intercepts": [0.5]}
    two = {"coefficients": [1.0, -2.0, -1.0, 2.0], "intercepts": [0.5, -0.5]}
    return OpPlugin(
        schema=OpSchema("LinearClassifier", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=linear_classifier,
        body=written,
        examples=(
            OpExample(
                (x,),
                {**three, "classlabels_strings": ["a", "b", "c"], "post_transform": "SOFTMAX"},
                (
                    np.array(["a", "b", "c"], dtype=object),
                    np.float32(
                        [
                            [0.53737850, 0.04411072, 0.41851076],
                            [0.04729932, 0.95003223, 0.00266844],
                            [0.14024438, 0.23122388, 0.62853170],
                        ]
                    ),
                ),
                n_outputs=2,
                encrypted=(),
                name="three strings, softmax",
            ),
            OpExample(
                (np.float32([[-0.5, 1.0], [2.0, 0.5]]),),
                {**one, "classlabels_ints": [3, 7]},
                (np.array([3, 7]), np.float32([[3.0, -2.0], [-0.5, 1.5]])),
                n_outputs=2,
                tolerance=0.1,
                name="two classes of one score",
            ),
            OpExample(
                (x[1:2],),
                {**two, "classlabels_ints": [1, 0], "post_transform": "LOGISTIC"},
                n_outputs=2,
                n_bits=3,
                tolerance=0.1,
                name="two classes of two scores, logistic",
            ),
            OpExample(
                (np.array([2, -1]),),
                one,
                (np.array([1]), np.float32([[4.5]])),
                n_outputs=2,
                n_bits=3,
                tolerance=0.05,
                name="a vector of integers, no labels",
            ),
        ),
        restrictions="labels on the server must be integers",
    )
