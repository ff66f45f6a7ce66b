"""Ensembles of trees: all modes, missing values, aggregates and what becomes of scores."""

from __future__ import annotations

import itertools
import operator

import numpy as np
from hypothesis import strategies as st
from onnx import numpy_helper

from tests.agreement.classical import NUMBERS, MLNode, classical, classical_cases
from tests.agreement.harness import Fault, Operator
from tests.agreement.spatial import batch
from tests.agreement.values import FLOATS, optional

TESTS = {
    "BRANCH_LEQ": operator.le,
    "BRANCH_LT": operator.lt,
    "BRANCH_GTE": operator.ge,
    "BRANCH_GT": operator.gt,
    "BRANCH_EQ": operator.eq,
    "BRANCH_NEQ": operator.ne,
}
MODES = tuple(TESTS)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")


def samples(draw, dtype, features):
    """Draw samples, many of them on thresholds, a few missing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    x = rng.integers(-8, 9, (batch(draw, 4), features)) / 4
    if dtype.kind == "i":
        return (4 * x).astype(dtype)
    return np.where(rng.random(x.shape) < 0.1, np.nan, x).astype(dtype)


def forest(draw, features):
    """Draw trees: for each node its tree, number, feature, mode, threshold and branches."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    modes = MODES if draw(st.booleans()) else MODES[:1]
    nodes = []
    for tree in range(draw(st.integers(1, 4))):
        count, front = itertools.count(1), [(0, 0)]
        while front:
            number, level = front.pop()
            if level < 4 and rng.random() < 0.7:
                branches = next(count), next(count)
                front += [(branch, level + 1) for branch in branches]
                split = int(rng.integers(features)), str(rng.choice(modes)), rng.integers(-6, 7) / 4
            else:
                branches, split = (0, 0), (0, "LEAF", 0.0)
            nodes.append((tree, number, *split, *branches))
    return rng, nodes


def classic(draw, kind, dtype, features, targets, revision):
    """Draw attributes of TreeEnsembleClassifier or -Regressor."""
    rng, nodes = forest(draw, features)
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    columns = zip(*nodes, strict=True)
    attributes = {f"nodes_{n}": list(c) for n, c in zip(names, columns, strict=True)}
    leaves = [
        (tree, number, target)
        for (tree, number, _, mode, *_) in nodes
        for target in range(targets)
        if mode == "LEAF" and (tree == 0 or target == 0 or rng.random() < 0.8)
    ]
    for name, column in zip(("treeids", "nodeids", "ids"), zip(*leaves, strict=True), strict=True):
        attributes[f"{kind}_{name}"] = list(column)
    weights = rng.normal(size=len(leaves)).astype(np.float32)
    attributes[f"{kind}_weights"] = weights.tolist()
    if draw(st.booleans()):
        tracks = rng.integers(0, 2, len(nodes)).tolist()
        attributes["nodes_missing_value_tracks_true"] = tracks
    if draw(st.booleans()):
        attributes["base_values"] = rng.normal(size=targets).astype(np.float32).tolist()
    if revision >= 3 and dtype == np.float64 and draw(st.booleans()):
        for name in ("nodes_values", f"{kind}_weights", "base_values"):
            exact = np.array(attributes.pop(name, ()), np.float64)
            if exact.size:
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(exact)
    return attributes


def regressor(draw, dtype, revision):
    features, targets = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    attributes = classic(draw, "target", dtype, features, targets, revision)
    attributes["n_targets"] = targets
    aggregate = draw(st.sampled_from(["SUM", "AVERAGE", "MIN", "MAX"]))
    attributes |= optional(draw, aggregate_function=aggregate)
    attributes |= optional(draw, post_transform=draw(st.sampled_from(TRANSFORMS)))
    return MLNode([samples(draw, dtype, features)], attributes)


def classifier(draw, dtype, revision):
    features, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    attributes = classic(draw, "class", dtype, features, classes, revision)
    if draw(st.booleans()):
        attributes["classlabels_strings"] = [f"class {k}" for k in range(classes)]
    else:
        attributes["classlabels_int64s"] = [7 - 3 * k for k in range(classes)]
    attributes |= optional(draw, post_transform=draw(st.sampled_from(TRANSFORMS)))
    return MLNode([samples(draw, dtype, features)], attributes, 2)


def ensemble(draw, dtype, revision):
    features, targets = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng, nodes = forest(draw, features)
    if all(mode == "LEAF" for _, number, _, mode, *_ in nodes if number == 0):
        return ensemble_of_one_leaf(draw, dtype, features)
    inner = {n[:2]: k for k, n in enumerate(n for n in nodes if n[3] != "LEAF")}
    leaf = {n[:2]: k for k, n in enumerate(n for n in nodes if n[3] == "LEAF")}
    splits, modes, tests, members = [], [], [], []
    ends = {"true": [], "false": []}
    for tree, number, feature, mode, value, *branches in nodes:
        if (tree, number) not in inner:
            continue
        is_member = rng.random() < 0.2
        if is_member:
            members += [*rng.integers(0, 3, 2), np.nan]
        modes.append(6 if is_member else MODES.index(mode))
        splits.append(value)
        tests.append(feature)
        for side, branch in zip(ends, branches, strict=True):
            place = (tree, branch)
            ends[side].append((leaf[place], 1) if place in leaf else (inner[place], 0))
    tensor = numpy_helper.from_array
    attributes = {
        "tree_roots": [k for (_, number), k in inner.items() if number == 0],
        "nodes_featureids": tests,
        "nodes_modes": tensor(np.array(modes, np.uint8)),
        "nodes_splits": tensor(np.array(splits, dtype)),
        "leaf_targetids": rng.integers(0, targets, len(leaf)).tolist(),
        "leaf_weights": tensor(rng.normal(size=len(leaf)).astype(dtype)),
        "n_targets": targets,
    }
    for side, pairs in ends.items():
        attributes[f"nodes_{side}nodeids"] = [to for to, _ in pairs]
        attributes[f"nodes_{side}leafs"] = [is_leaf for _, is_leaf in pairs]
    if members:
        attributes["membership_values"] = tensor(np.array(members, dtype))
    if draw(st.booleans()):
        tracks = rng.integers(0, 2, len(tests)).tolist()
        attributes["nodes_missing_value_tracks_true"] = tracks
    attributes |= optional(draw, aggregate_function=draw(st.integers(0, 3)))
    attributes |= optional(draw, post_transform=draw(st.integers(0, 3)))
    return MLNode([samples(draw, dtype, features)], attributes)


def ensemble_of_one_leaf(draw, dtype, features):
    """A tree of one leaf has a root both of whose branches lead to it."""
    tensor = numpy_helper.from_array
    attributes = {
        "tree_roots": [0],
        "nodes_featureids": [0],
        "nodes_modes": tensor(np.zeros(1, np.uint8)),
        "nodes_splits": tensor(np.zeros(1, dtype)),
        "leaf_targetids": [0],
        "leaf_weights": tensor(np.array([1.5], dtype)),
        "n_targets": 1,
        **{f"nodes_{side}nodeids": [0] for side in ("true", "false")},
        **{f"nodes_{side}leafs": [1] for side in ("true", "false")},
    }
    return MLNode([samples(draw, dtype, features)], attributes)


class Table:
    """Attributes of a classic ensemble, by their names without the prefix."""

    def __init__(self, attributes):
        self.stated = attributes
        self.kind = "class" if "class_ids" in attributes else "target"
        labels = ("classlabels_strings", "classlabels_int64s")
        self.labels = next((attributes[n] for n in labels if n in attributes), None)
        self.targets = attributes.get("n_targets") or len(self.labels)

    def numbers(self, name):
        exact = self.stated.get(f"{name}_as_tensor")
        return self.stated.get(name, []) if exact is None else numpy_helper.to_array(exact)

    @property
    def is_complete(self):
        """Whether every leaf says something of every target."""
        leaves = self.stated["nodes_modes"].count("LEAF")
        return len(self.stated[f"{self.kind}_ids"]) == leaves * self.targets


def walked(table, sample):
    """Scores of a sample: from root to leaf in one tree after the other."""
    names = ("treeids", "nodeids", "featureids", "modes", "truenodeids", "falsenodeids")
    columns = [table.stated[f"nodes_{name}"] for name in names]
    values = table.numbers("nodes_values")
    tracks = table.stated.get("nodes_missing_value_tracks_true", [0] * len(values))
    nodes = {row[:2]: row[2:] for row in zip(*columns, values, tracks, strict=True)}
    leaves = [table.stated[f"{table.kind}_{name}"] for name in ("treeids", "nodeids", "ids")]
    leaves = list(zip(*leaves, table.numbers(f"{table.kind}_weights"), strict=True))
    found = [[] for _ in range(table.targets)]
    trees = sorted(set(columns[0]))
    for tree in trees:
        number = 0
        while (node := nodes[tree, number])[1] != "LEAF":
            feature, mode, true, false, value, track = node
            x = sample[feature]
            is_true = (np.isnan(x) and track) or TESTS[mode](x, value)
            number = true if is_true else false
        for owner, leaf, target, weight in leaves:
            if (owner, leaf) == (tree, number):
                found[target].append(weight)
    aggregate = table.stated.get("aggregate_function")
    reduce = {"MIN": min, "MAX": max}.get(aggregate, sum)
    scores = np.array([reduce(each) if each else 0.0 for each in found])
    scores = scores / len(trees) if aggregate == "AVERAGE" else scores
    base = table.numbers("base_values")
    return scores + base if len(base) else scores


def by_hand(node, case):
    """A classic ensemble written out, without `post_transform`."""
    if node.attributes.get("post_transform", "NONE") != "NONE":
        return None
    table, (x,) = Table(node.attributes), node.inputs
    scores = np.zeros((len(x), table.targets))
    for row, sample in enumerate(x):
        scores[row] = walked(table, sample)
    if table.labels is None:
        return (scores.astype(np.float32),)
    labels = np.array(table.labels, dtype=object if isinstance(table.labels[0], str) else np.int64)
    return labels[scores.argmax(axis=1)], scores.astype(np.float32)


def is_incomplete(node, case):
    """Whether onnxruntime leaves out base values, or classes that no leaf tells of."""
    table = Table(node.attributes)
    is_classifier = table.labels is not None
    return not table.is_complete and (is_classifier or len(table.numbers("base_values")))


def has_two_classes(node, case):
    return len(Table(node.attributes).labels) == 2


def is_transformed(node, case):
    return node.attributes.get("post_transform", 0) != 0


def is_numbered_otherwise(node, case):
    return node.attributes.get("post_transform") in (1, 2)


SUMS = {"float32": 1e-4, "float64": 1e-6}
FAULTS = (
    Fault("onnxruntime", "leaves out targets that no leaf tells of", when=is_incomplete),
    Fault("reference", "returns other types, and knows no missing values"),
)
SECOND = Fault("onnxruntime", "names the second of two if positive", when=has_two_classes)

OPERATORS_OF_ML = {
    "TreeEnsemble": Operator(
        ensemble,
        FLOATS,
        tolerance=SUMS,
        why="onnxruntime adds up in float32",
        faults=[
            Fault("onnxruntime", "has few members", says="only implemented for integers"),
            Fault("onnxruntime", "numbers transforms otherwise", when=is_numbered_otherwise),
            Fault("reference", "has no transforms", when=is_transformed),
        ],
    ),
    "TreeEnsembleClassifier": Operator(
        classifier, NUMBERS, tolerance=SUMS, faults=[*FAULTS, SECOND], by_hand=by_hand
    ),
    "TreeEnsembleRegressor": Operator(
        regressor, NUMBERS, tolerance=SUMS, faults=FAULTS, by_hand=by_hand
    ),
}
CASES = classical_cases(OPERATORS_OF_ML)


@classical(OPERATORS_OF_ML)
def test_ensembles(case):
    case.check()
