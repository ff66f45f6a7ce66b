"""Classical machine learning: features, labels, linear models and support vectors."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from onnx import numpy_helper

import cml_core as cml
from tests.agreement import test_ensembles
from tests.agreement.classical import (
    DOMAIN,
    NUMBERS,
    MLNode,
    classical,
    classical_cases,
    in_float32,
)
from tests.agreement.harness import Fault, Operator
from tests.agreement.spatial import batch, finite
from tests.agreement.values import STRINGS, array, optional, shape

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
LONG, SHORT = (np.dtype(np.int64),), (np.dtype(np.int16),)
WORDS = ["", "a", "bc", "Ü"]


def numbers(draw, count, **bounds):
    return finite(draw, np.float32, (count,), **bounds).tolist()


def rows(draw, dtype):
    """Draw samples, or one alone, which has no axis of its own."""
    features = draw(st.integers(1, 4))
    size = (batch(draw, 3), features) if draw(st.integers(0, 3)) else (features,)
    return finite(draw, dtype, size, low=-9, high=9)


def scaler(draw, dtype, revision):
    x = rows(draw, dtype)
    count = draw(st.sampled_from([1, x.shape[-1]]))
    return MLNode([x], {"offset": numbers(draw, count), "scale": numbers(draw, count)})


def normalizer(draw, dtype, revision):
    norm = draw(st.sampled_from(["MAX", "L1", "L2"]))
    return MLNode([rows(draw, dtype)], optional(draw, norm=norm))


def binarizer(draw, dtype, revision):
    x = finite(draw, dtype, shape(draw, 1, 3))
    return MLNode([x], optional(draw, threshold=draw(st.sampled_from([-1.0, 0.5, 2.0]))))


def imputer(draw, dtype, revision):
    x = rows(draw, dtype)
    count = draw(st.sampled_from([1, x.shape[-1]]))
    if dtype.kind == "i":
        attributes = {"imputed_value_int64s": [draw(st.integers(-9, 9)) for _ in range(count)]}
        return MLNode([x], attributes | {"replaced_value_int64": draw(st.integers(-1, 1))})
    flags = np.random.default_rng(draw(st.integers(0, 99))).random(x.shape) < 0.3
    replaced = draw(st.sampled_from([0.5, float("nan")]))
    x = np.where(flags, dtype.type(replaced), x).astype(dtype)
    attributes = {"imputed_value_floats": numbers(draw, count)}
    return MLNode([x], attributes | {"replaced_value_float": replaced})


def array_feature_extractor(draw, dtype, revision):
    x = array(draw, dtype, shape(draw, 1, 3, min_size=1))
    places = st.lists(st.integers(0, x.shape[-1] - 1), min_size=1, max_size=4)
    return MLNode([x, np.array(draw(places))])


def feature_vectorizer(draw, dtype, revision):
    count = draw(st.integers(1, 3))
    outer = (batch(draw),) if draw(st.booleans()) else ()
    widths = [draw(st.integers(1, 4)) for _ in range(count)]
    inputs = [finite(draw, dtype, (*outer, n)) for n in widths]
    widths = [max(1, n + draw(st.integers(-1, 1))) for n in widths]
    return MLNode(inputs, {"inputdimensions": widths})


def one_hot_encoder(draw, dtype, revision):
    size = shape(draw, 1, 2, min_size=1)
    if dtype.kind == "O":
        known = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
        attributes, x = {"cats_strings": known}, array(draw, dtype, size)
    else:
        known = draw(st.lists(st.integers(-3, 3), min_size=1, max_size=4))
        attributes, x = {"cats_int64s": known}, finite(draw, dtype, size, low=-4, high=4)
    if draw(st.booleans()):
        x = np.random.default_rng(draw(st.integers(0, 99))).choice(known, size).astype(dtype)
        attributes["zeros"] = 0
    return MLNode([x], attributes)


def category_mapper(draw, dtype, revision):
    known = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True))
    attributes = {"cats_strings": known, "cats_int64s": [3 * k - 2 for k in range(len(known))]}
    attributes |= optional(draw, default_int64=-7, default_string="none")
    return MLNode([array(draw, dtype, shape(draw, 1, 2), low=-3, high=8)], attributes)


#: Lists of LabelEncoder by the name of their type, and what stands for what is in none of them.
LISTS = {
    "strings": (WORDS, "default_string", "none"),
    "int64s": ([0, 1, -2, 3], "default_int64", -7),
    "floats": ([0.0, 1.0, -2.0, 0.5], "default_float", 9.5),
}


def label_encoder(draw, dtype, revision):
    x = array(draw, dtype, shape(draw, 1, 2), kinds=("ties",))
    if revision == 1:
        attributes = {"classes_strings": draw(st.permutations(WORDS))[: draw(st.integers(1, 4))]}
        return MLNode([x], attributes | optional(draw, default_int64=-7, default_string="none"))
    count = draw(st.integers(1, 4))
    name = {"O": "strings", "i": "int64s", "f": "floats"}[dtype.kind]
    keys = draw(st.permutations(LISTS[name][0]))[:count]
    if (dtype.itemsize != 8 and dtype.kind == "i") or dtype == np.float64:
        return of_tensors(draw, x, keys)
    to = draw(st.sampled_from(sorted(LISTS)))
    values, default, other = LISTS[to]
    attributes = {f"keys_{name}": keys, f"values_{to}": values[:count]}
    return MLNode([x], attributes | optional(draw, **{default: other}))


def of_tensors(draw, x, keys):
    """Draw a LabelEncoder of types that have no list of their own."""
    values = finite(draw, x.dtype, (len(keys),))
    tensors = {"keys_tensor": np.array(keys, x.dtype), "values_tensor": values}
    tensors |= {"default_tensor": finite(draw, x.dtype, (1,))}
    return MLNode([x], {name: numpy_helper.from_array(a, name) for name, a in tensors.items()})


def labels(draw, count):
    if draw(st.booleans()):
        return {"classlabels_strings": [f"class {k}" for k in range(count)]}
    return {"classlabels_ints": [7 - 3 * k for k in range(count)]}


def linear_regressor(draw, dtype, revision):
    x, targets = rows(draw, dtype), draw(st.integers(1, 3))
    attributes = {"coefficients": numbers(draw, targets * x.shape[-1]), "targets": targets}
    if draw(st.booleans()):
        attributes["intercepts"] = numbers(draw, targets)
    transform = draw(st.sampled_from(TRANSFORMS))
    return MLNode([x], attributes | optional(draw, post_transform=transform))


def linear_classifier(draw, dtype, revision):
    x, scores = rows(draw, dtype), draw(st.integers(1, 3))
    attributes = {
        "coefficients": numbers(draw, scores * x.shape[-1]),
        "intercepts": numbers(draw, scores),
        **labels(draw, max(scores, 2)),
    }
    transform = draw(st.sampled_from(TRANSFORMS))
    return MLNode([x], attributes | optional(draw, post_transform=transform), 2)


def kernel(draw):
    # Small enough, and of whole degrees, so that polynomials of float32 agree.
    degree = float(draw(st.integers(1, 3)))
    parameters = [draw(st.sampled_from([0.125, 0.25])), draw(st.sampled_from([0.0, 0.5])), degree]
    return {"kernel_type": draw(st.sampled_from(KERNELS)), "kernel_params": parameters}


def svm_regressor(draw, dtype, revision):
    x, count = rows(draw, dtype), draw(st.integers(1, 4))
    attributes = {
        **kernel(draw),
        "n_supports": count,
        "support_vectors": numbers(draw, count * x.shape[-1]),
        "coefficients": numbers(draw, count),
        # What adds up to zero is on neither side of a class.
        "rho": [draw(st.sampled_from([0.3, -0.7, 1.1]))],
    }
    return MLNode([x], attributes | optional(draw, one_class=draw(st.integers(0, 1))))


def svm_classifier(draw, dtype, revision):
    x, classes = rows(draw, dtype), draw(st.integers(2, 4))
    counts = [draw(st.integers(1, 3)) for _ in range(classes)]
    pairs = classes * (classes - 1) // 2
    attributes = {
        **kernel(draw),
        **labels(draw, classes),
        "vectors_per_class": counts,
        "support_vectors": numbers(draw, sum(counts) * x.shape[-1]),
        "coefficients": numbers(draw, sum(counts) * (classes - 1)),
        "rho": numbers(draw, pairs),
    }
    if draw(st.booleans()):
        attributes["prob_a"] = numbers(draw, pairs, low=-2, high=-0.5)
        attributes["prob_b"] = numbers(draw, pairs)
    transform = draw(st.sampled_from(TRANSFORMS))
    return MLNode([x], attributes | optional(draw, post_transform=transform), 2)


def has_no_samples(node, case):
    return node.inputs[0].size == 0


def has_twice(node, case):
    known = node.attributes.get("cats_strings") or node.attributes["cats_int64s"]
    return len(set(known)) < len(known)


SUMS = {"float32": 1e-4}
TYPE_OF_X = "returns the type of X, where ONNX says float"

OPERATORS_OF_ML = {
    "ArrayFeatureExtractor": Operator(array_feature_extractor, NUMBERS + STRINGS, tolerance=0),
    "Binarizer": Operator(binarizer, NUMBERS),
    "CategoryMapper": Operator(category_mapper, LONG + STRINGS),
    "FeatureVectorizer": Operator(
        feature_vectorizer,
        NUMBERS,
        faults=[
            Fault("onnxruntime", "ends the process without samples", when=has_no_samples),
            Fault("reference", TYPE_OF_X, when=has_no_samples),
        ],
    ),
    "Imputer": Operator(imputer, NUMBERS),
    "LabelEncoder": Operator(label_encoder, NUMBERS + STRINGS + SHORT),
    "LinearClassifier": Operator(linear_classifier, NUMBERS, tolerance=SUMS),
    "LinearRegressor": Operator(
        linear_regressor,
        NUMBERS,
        tolerance=SUMS,
        faults=[Fault("reference", TYPE_OF_X)],
        by_hand=in_float32,
    ),
    "Normalizer": Operator(normalizer, NUMBERS),
    "OneHotEncoder": Operator(
        one_hot_encoder,
        NUMBERS + STRINGS,
        faults=[Fault("reference", "has one place for a category given twice", when=has_twice)],
    ),
    "SVMClassifier": Operator(svm_classifier, NUMBERS, tolerance=SUMS),
    "SVMRegressor": Operator(
        svm_regressor,
        NUMBERS,
        tolerance=SUMS,
        faults=[Fault("reference", TYPE_OF_X)],
        by_hand=in_float32,
    ),
    "Scaler": Operator(scaler, NUMBERS),
}
CASES = classical_cases(OPERATORS_OF_ML)


@classical(OPERATORS_OF_ML)
def test_classical(case):
    case.check()


def test_every_operator_of_the_domain_has_a_strategy():
    known = {key.op_type for key in cml.default_registry().ops if key.domain == DOMAIN}
    of_maps = {"CastMap", "DictVectorizer", "ZipMap"}
    assert known == {*OPERATORS_OF_ML, *test_ensembles.OPERATORS_OF_ML, *of_maps}
