"""SVMClassifier: the class that most machines between two classes vote for.

Quantized as MatMuls and the kernel between them, a lookup for each support vector; with a linear
kernel there is none. Votes, probabilities and labels are the client's.
"""

from __future__ import annotations

import attrs
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
from cml_ops_contrib._shared.pairwise import probabilities, votes, write_votes
from cml_ops_contrib._shared.post_transforms import (
    pair_of,
    transformed,
    write_pair,
    write_transformed,
)
from cml_ops_contrib._shared.rows import as_rows, matrix_of, write_rows
from cml_ops_contrib._shared.support_vectors import Kernel


@attrs.frozen(slots=True)
class _Model:
    """The attributes, checked.

    Parameters
    ----------
    kernel : Kernel
        With its support vectors; for a linear model without any, of the identity.
    weights : array of shape (V, S)
        What the kernels with support vectors count in each score.
    bias : array of shape (S,)
        What is added.
    labels : array of shape (C,)
        Of the classes.
    pairwise : bool
        Whether there is a score for each pair of classes, else one for each class.
    positive : bool
        Whether no coefficient is negative.
    a, b : tuple of float
        Of the probabilities, if there are any.
    """

    kernel: Kernel
    weights: np.ndarray
    bias: np.ndarray
    labels: np.ndarray
    pairwise: bool
    positive: bool
    a: tuple[float, ...]
    b: tuple[float, ...]

    @classmethod
    def of(
        cls,
        *,
        classlabels_ints,
        classlabels_strings,
        coefficients,
        kernel_params,
        kernel_type,
        prob_a,
        prob_b,
        rho,
        support_vectors,
        vectors_per_class,
    ):
        labels = class_labels(classlabels_strings, classlabels_ints)
        counts = np.asarray(vectors_per_class or (), dtype=np.int64)
        pairwise = bool(counts.sum())
        if len(labels) < (2 if pairwise else 1):
            raise AttributeValueError("number of classlabels", len(labels), "two or more")
        positive = min(coefficients or (0.0,)) >= 0
        rest = labels, pairwise, positive, tuple(prob_a or ()), tuple(prob_b or ())
        scores = len(labels) * (len(labels) - 1) // 2 if pairwise else 1
        if len(rho or ()) < scores:
            raise AttributeValueError("number of rho", len(rho or ()), f"{scores}")
        if not pairwise:
            weights = matrix_of("coefficients", coefficients, len(labels)).T
            kernel = Kernel("LINEAR", None, np.eye(len(weights)).ravel().tolist(), len(weights))
            return cls(kernel, weights, np.full(len(labels), rho[0]), *rest)
        if len(counts) != len(labels):
            expected = f"one for each of {len(labels)} classes"
            raise AttributeValueError("number of vectors_per_class", len(counts), expected)
        kernel = Kernel(kernel_type, kernel_params, support_vectors, int(counts.sum()))
        each = matrix_of("coefficients", coefficients, len(labels) - 1)
        if each.shape[1] != counts.sum():
            expected = f"{len(labels) - 1} for each of {counts.sum()} support vectors"
            raise AttributeValueError("number of coefficients", each.size, expected)
        return cls(kernel, _of_pairs(each, counts), np.array(rho[:scores]), *rest)


def _of_pairs(each: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What each support vector counts in each pair: a row of coefficients for each other class."""
    owner = np.repeat(np.arange(len(counts)), counts)
    columns = []
    for i, j in zip(*np.triu_indices(len(counts), 1), strict=True):
        columns.append(np.where(owner == i, each[j - 1], 0) + np.where(owner == j, each[i], 0))
    return np.stack(columns, axis=1).astype(np.float64)


_read = read_once(lambda attributes: _Model.of(**attributes))


def svm_classifier(x, *, post_transform, **attributes):
    model = _read(attributes)
    rows = as_rows(x, model.kernel.features)
    scores = model.kernel.weighed(rows, model.weights, model.bias)
    if not model.pairwise:
        places = scores.argmax(axis=1)
        if len(model.labels) == 2:
            places = np.where(_second(model, scores).any(axis=1), 1, places)
        return model.labels[places], transformed(scores, post_transform)
    labels = model.labels[votes(scores, len(model.labels)).argmax(axis=1)]
    if model.a:
        return labels, transformed(probabilities(scores, model.a, model.b), post_transform)
    if len(model.labels) == 2:
        return labels, pair_of(scores, post_transform, signed=True)
    return labels, transformed(scores, post_transform)


def _second(model, scores):
    """Which scores of a linear model make the second class win of two, as in onnxruntime."""
    if model.a:
        return np.zeros(scores.shape, dtype=bool)
    return scores >= 0.5 if model.positive else scores > 0


def written(writer: GraphWriter, x, *, post_transform, **attributes):
    model = _read(attributes)
    classes, columns = len(model.labels), len(model.bias)
    rows = write_rows(writer, x, model.kernel.features)
    scores = model.kernel.write_weighed(writer, rows, model.weights, model.bias)
    if model.pairwise and classes > 2:
        ballot = write_votes(writer, scores, classes)
        places = writer.add("ArgMax", ballot, axis=1, keepdims=0)
    elif classes == 2:
        second = _write_second(writer, model, scores)
        flat = writer.add("Reshape", second, writer.constant([-1]))
        places = writer.cast(flat, np.int64)
    else:
        places = writer.add("ArgMax", scores, axis=1, keepdims=0)
    if model.pairwise and model.a:
        parameters = {"prob_a": model.a, "prob_b": model.b}
        scores = writer.add("PairwiseProbabilities", scores, domain="cml", **parameters)
        columns = classes
    if columns == 1 and model.pairwise:
        z = write_pair(writer, scores, post_transform, signed=True)
    else:
        z = write_transformed(writer, scores, post_transform, columns)
    return write_labels(writer, places, model.labels), z


def _write_second(writer: GraphWriter, model, scores):
    """Whether the second class wins of two."""
    zero = writer.constant(0.0, np.float32)
    if model.pairwise:
        return writer.add("Not", writer.add("Greater", scores, zero))
    one, other = (writer.add("Gather", scores, writer.constant([k]), axis=1) for k in (0, 1))
    second = writer.add("Greater", other, one)
    for score in () if model.a else (one, other):
        if model.positive:
            below = writer.add("Less", score, writer.constant(0.5, np.float32))
            wins = writer.add("Not", below)
        else:
            wins = writer.add("Greater", score, zero)
        second = writer.add("Or", second, wins)
    return second


@hookimpl
def cml_op():
    x = np.array([[1.0, -0.5], [0.25, 1.5]], dtype=np.float32)
    two = {
        "support_vectors": [0.5, -1.0, 0.0, 1.0],
        "coefficients": [1.0, -0.5],
        "vectors_per_class": [1, 1],
        "classlabels_ints": [3, 7],
        "rho": [-0.25],
    }
    three = {
        "support_vectors": [0.5, -1.0, 0.0, 1.0, -1.0, -0.5],
        "coefficients": [1.0, -0.5, -1.0, 0.5, 1.0, -1.0],
        "vectors_per_class": [1, 1, 1],
        "rho": [0.25, 0.0, -0.25],
        "kernel_type": "RBF",
        "kernel_params": [0.5, 0.0, 3.0],
    }
    return OpPlugin(
        schema=OpSchema("SVMClassifier", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=svm_classifier,
        body=written,
        examples=(
            OpExample(
                (x,),
                {**two, "kernel_type": "LINEAR"},
                (np.array([3, 7]), np.float32([[-1.0, 1.0], [2.375, -2.375]])),
                n_outputs=2,
                n_bits=3,
                tolerance=0.1,
                name="two classes, linear",
            ),
            OpExample(
                (x,),
                {**two, "kernel_type": "POLY", "kernel_params": [0.5, 1.0, 2.0]},
                (np.array([3, 7]), np.float32([[-1.71875, 1.71875], [1.6835938, -1.6835938]])),
                n_outputs=2,
                n_bits=2,
                tolerance=0.3,
                name="two classes, quadratic",
            ),
            OpExample(
                (x[:1],),
                {**three, "classlabels_ints": [0, 1, 2]},
                n_outputs=2,
                n_bits=2,
                tolerance=0.5,
                name="three classes, radial basis functions",
            ),
            OpExample(
                (x,),
                {
                    **three,
                    "classlabels_strings": ["a", "b", "c"],
                    "prob_a": [-1.0, -1.5, -0.5],
                    "prob_b": [0.0, 0.25, 0.0],
                },
                (
                    np.array(["a", "b"], dtype=object),
                    np.float32(
                        [[0.4431653, 0.2239861, 0.3328488], [0.2879913, 0.3812775, 0.3307314]]
                    ),
                ),
                n_outputs=2,
                encrypted=(),
                name="three strings with probabilities",
            ),
            OpExample(
                (np.array([2, -1]),),
                {"coefficients": [1.0, -1.0, 0.5, 1.0], "classlabels_ints": [1, 0], "rho": [0.5]},
                (np.array([0]), np.float32([[3.5, 0.5]])),
                n_outputs=2,
                encrypted=(),
                name="without support vectors",
            ),
        ),
        restrictions="labels on the server must be integers, and probabilities are the client's",
    )
