"""The operators of ai.onnx.ml in float, beside onnxruntime: every attribute, every type."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml
from cml_core.errors import NodeError
from tests.contrib.nodes import (
    ML,
    assert_as_onnxruntime,
    assert_same,
    model_of,
    of_cml,
    of_onnxruntime,
    session_of,
)

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
NUMBERS = (np.float32, np.float64, np.int32, np.int64)
#: Winitzki's formula in float32 loses digits near zero, in onnxruntime and here.
TOLERANCE = {"PROBIT": 1e-3}


def drawn(*shape, seed=0, size=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)


def numbers(array):
    return np.asarray(array, dtype=np.float32).reshape(-1).tolist()


def labels(count, strings):
    if strings:
        return {"classlabels_strings": [f"class {k}" for k in range(count)]}
    return {"classlabels_ints": [7 - 3 * k for k in range(count)]}


def strings(*values):
    return np.array(values, dtype=object)


def assert_refused(match, op_type, inputs, **options):
    with pytest.raises(NodeError, match=match):
        of_cml(op_type, inputs, **options)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (0, 4)])
def test_scaler(dtype, count, shape):
    x = drawn(*shape, size=5).astype(dtype)
    constants = {"offset": numbers(drawn(count)), "scale": numbers(drawn(count, seed=1))}
    assert_as_onnxruntime("Scaler", [x], **constants)


def test_a_scaler_needs_as_many_constants_as_features():
    assert_refused("scale is 0", "Scaler", [drawn(2, 3)])
    assert_refused(
        "scale is 1, expected as many", "Scaler", [drawn(2, 3)], offset=[1.0, 2.0], scale=[1.0]
    )
    assert_refused(
        "offset is 2, expected 1, or one for each of 3 features",
        "Scaler",
        [drawn(2, 3)],
        offset=[1.0, 2.0],
        scale=[1.0, 2.0],
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("intercepts", [False, True])
def test_linear_regressor(transform, targets, intercepts):
    options = {"coefficients": numbers(drawn(targets, 4, size=0.1)), "targets": targets}
    if intercepts:
        options["intercepts"] = numbers(np.abs(drawn(targets, seed=1)) / 4 + 0.1)
    tolerance = TOLERANCE.get(transform, 1e-5)
    for x in (drawn(5, 4, seed=2), drawn(4, seed=3)):
        options["post_transform"] = transform
        assert_as_onnxruntime("LinearRegressor", [x], tolerance=tolerance, **options)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("scores", [1, 2, 3])
@pytest.mark.parametrize("kind", ["strings", "integers", "none"])
def test_linear_classifier(transform, scores, kind):
    if scores > 1 and kind == "none":
        pytest.skip("onnxruntime wants labels for several scores")
    if scores == 1 and kind != "none" and transform == "PROBIT":
        pytest.skip("onnxruntime leaves the second class's probit in uninitialized memory")
    options = {} if kind == "none" else labels(max(scores, 2), kind == "strings")
    options |= {
        "coefficients": numbers(drawn(scores, 4, size=0.1)),
        "intercepts": numbers(np.abs(drawn(scores, seed=1)) / 4),
        "post_transform": transform,
    }
    tolerance = TOLERANCE.get(transform, 1e-5)
    types = NUMBERS if transform == "NONE" else NUMBERS[:1]
    for dtype, shape in itertools.product(types, [(6, 4), (4,), (0, 4)]):
        x = drawn(*shape, seed=2, size=3).astype(dtype)
        assert_as_onnxruntime("LinearClassifier", [x], n_outputs=2, tolerance=tolerance, **options)


def test_the_probit_of_one_score_for_two_classes_is_that_of_both():
    (label, scores) = of_cml(
        "LinearClassifier",
        [np.float32([[0.75]])],
        n_outputs=2,
        coefficients=[1.0],
        intercepts=[0.0],
        post_transform="PROBIT",
        classlabels_ints=[3, 4],
    )
    assert label.tolist() == [4]
    np.testing.assert_allclose(scores, [[-0.6745, 0.6745]], atol=3e-3)


def test_a_linear_model_says_which_attribute_is_wrong():
    x = drawn(2, 3)
    refused = {
        "post_transform is 'ODD', expected one of NONE, SOFTMAX": {"post_transform": "ODD"},
        "number of classlabels is 3, expected 2 for one score": labels(3, False),
        "shape of X is": {"coefficients": [1.0, 2.0]},
        "number of coefficients is 3": {"intercepts": [1.0, 2.0], **labels(2, False)},
        "classlabels_ints is": {**labels(2, True), **labels(2, False)},
    }
    for match, options in refused.items():
        options = {"coefficients": [1.0, 2.0, 3.0], "intercepts": [0.0], **options}
        assert_refused(match, "LinearClassifier", [x], n_outputs=2, **options)
    options = {"coefficients": [1.0, 2.0, 3.0], "intercepts": [0.0, 1.0]}
    assert_refused("number of intercepts is 2", "LinearRegressor", [x], **options)
    assert_refused("number of coefficients is 0", "LinearRegressor", [x])


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("opset", [9, 13, 18, 21])
def test_normalizer(norm, dtype, opset):
    x = drawn(5, 4, size=5)
    x[1], x[2] = 0, -1
    for array in (x, x[0], x[1], x[:0]):
        assert_as_onnxruntime("Normalizer", [array.astype(dtype)], norm=norm, opset=opset)


def test_a_normalizer_knows_three_norms_of_two_ranks():
    assert_refused(
        "norm is 'L3', expected one of MAX, L1, L2", "Normalizer", [drawn(2, 3)], norm="L3"
    )
    assert_refused("rank of X is 3", "Normalizer", [drawn(2, 3, 1)])


@pytest.mark.parametrize("dtype", [*NUMBERS, object])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("indices", [2, [0, 2], [[1, 2]], [[1], [0]]])
def test_array_feature_extractor(dtype, shape, indices):
    x = drawn(*shape, size=5)
    x = x.astype(str).astype(object) if dtype is object else x.astype(dtype)
    assert_as_onnxruntime("ArrayFeatureExtractor", [x, np.array(indices)])


@pytest.mark.parametrize("indices", [[3], [-1], []])
def test_extracted_features_must_be_there(indices):
    x, indices = drawn(2, 3), np.array(indices, dtype=np.int64)
    assert_refused(
        "Y is .*, expected some indices from 0 to 2", "ArrayFeatureExtractor", [x, indices]
    )


ENCODED = {
    "strings": (strings("b", "x", "a", ""), ["a", "b", "a"]),
    "int64s": (np.array([[3, 0], [7, 4]]), [3, 7, 3]),
    "floats": (np.float32([0.5, 1.0, np.nan, 0.1, -0.0]), [0.5, 0.0, 0.5]),
}
VALUES = {
    "strings": ["x", "y", "z"],
    "int64s": [30, 70, 31],
    "floats": [0.25, 2.0, 3.0],
}


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("keys", ENCODED)
@pytest.mark.parametrize("values", VALUES)
def test_label_encoder(version, keys, values):
    x, known = ENCODED[keys]
    lists = {f"keys_{keys}": known, f"values_{values}": VALUES[values]}
    defaults = {"default_string": "D", "default_int64": -7, "default_float": 9.5}
    for options in (lists, lists | defaults):
        assert_as_onnxruntime("LabelEncoder", [x], version=version, **options)


@pytest.mark.parametrize("version", [2, 4])
def test_nan_is_a_key_of_the_newest_label_encoder_alone(version):
    lists = {"keys_floats": [0.5, float("nan")], "values_floats": [1.0, 2.0]}
    x = np.float32([np.nan, 0.5, 0.25])
    assert_as_onnxruntime("LabelEncoder", [x], version=version, **lists)
    (encoded,) = of_cml("LabelEncoder", [x], version=version, **lists)
    assert encoded[0] == (2.0 if version == 4 else 0.0)


@pytest.mark.parametrize(("keys", "values"), [(np.int64, np.float64), (np.float64, np.float64)])
@pytest.mark.parametrize("default", [False, True])
def test_label_encoder_of_tensors(keys, values, default):
    tensor = numpy_helper.from_array
    options = {
        "keys_tensor": tensor(np.array([3, 7], dtype=keys)),
        "values_tensor": tensor(np.array([4.5, 9], dtype=values)),
    }
    if default:
        options["default_tensor"] = tensor(np.array([-3], dtype=values))
    x = np.array([3, 0, 7], dtype=keys)
    if (keys, values) == (np.int64, np.float64):
        # onnxruntime has no such kernel.
        (encoded,) = of_cml("LabelEncoder", [x], version=4, **options)
        assert_same(encoded, np.array([4.5, -3 if default else -0.0, 9], dtype=values))
    else:
        assert_as_onnxruntime("LabelEncoder", [x], version=4, **options)


@pytest.mark.parametrize("x", [strings("b", "x"), np.array([0, 2, 5, -1])])
@pytest.mark.parametrize("defaults", [{}, {"default_string": "q", "default_int64": -5}])
def test_the_first_label_encoder(x, defaults):
    assert_as_onnxruntime("LabelEncoder", [x], classes_strings=["a", "b", "b"], **defaults)


def test_a_label_encoder_says_what_is_missing():
    x = np.array([1, 2])
    refused = {
        "keys is None, expected one of keys_": {"values_int64s": [1]},
        "values is 'values_floats, values_int64s'": {
            "keys_int64s": [1],
            "values_int64s": [1],
            "values_floats": [1.0],
        },
        "number of keys is 2": {"keys_int64s": [1, 2], "values_int64s": [1]},
        "type of X is 'int64', expected string": {"keys_strings": ["1"], "values_int64s": [1]},
    }
    for match, options in refused.items():
        assert_refused(match, "LabelEncoder", [x], version=4, **options)


KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def machine(kernel, classes=2, features=4, degree=3.0, seed=0):
    """A machine with one to four support vectors for each class."""
    per_class = np.random.default_rng(seed).integers(1, 5, classes)
    count = int(per_class.sum())
    return {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.5, degree],
        "support_vectors": numbers(drawn(count, features, seed=seed)),
        "coefficients": numbers(drawn(classes - 1, count, seed=seed + 1)),
        "vectors_per_class": per_class.tolist(),
        "rho": numbers(drawn(classes * (classes - 1) // 2, seed=seed + 2)),
    }


def of_pairs(classes):
    pairs = classes * (classes - 1) // 2
    return {"prob_a": numbers(-1 - np.arange(pairs) / 8), "prob_b": numbers(drawn(pairs, seed=9))}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
@pytest.mark.parametrize("shape", [(5, 4), (4,)])
def test_svm_regressor(kernel, one_class, shape):
    options = machine(kernel)
    count = sum(options.pop("vectors_per_class"))
    x = drawn(*shape, seed=5)
    assert_as_onnxruntime("SVMRegressor", [x], n_supports=count, one_class=one_class, **options)


def test_a_regressor_without_support_vectors_is_linear():
    options = {"kernel_type": "RBF", "kernel_params": [0.3, 0.5, 3.0], "rho": [0.2]}
    options["coefficients"] = numbers(drawn(4))
    assert_as_onnxruntime("SVMRegressor", [drawn(5, 4)], **options)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_svm_classifier(transform, classes, probabilities, kernel):
    if transform == "PROBIT" and classes == 2 and not probabilities:
        pytest.skip("onnxruntime leaves the second class's probit in uninitialized memory")
    options = machine(kernel, classes) | labels(classes, strings=kernel in ("POLY", "RBF"))
    options |= of_pairs(classes) if probabilities else {}
    options["post_transform"] = transform
    tolerance = TOLERANCE.get(transform, 5e-5)
    for x in (drawn(30, 4, seed=6), drawn(4, seed=7), drawn(2, 4, seed=8, size=3).astype(np.int64)):
        assert_as_onnxruntime("SVMClassifier", [x], n_outputs=2, tolerance=tolerance, **options)


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_a_classifier_without_support_vectors_is_linear(
    classes, positive, probabilities, transform
):
    weights = drawn(classes, 4, size=0.2)
    options = {
        "coefficients": numbers(np.abs(weights) if positive else weights),
        "kernel_params": [0.0, 0.0, 0.0],
        "rho": [0.3],
        "post_transform": transform,
        **labels(classes, strings=positive),
        **(of_pairs(2) if probabilities else {}),
    }
    assert_as_onnxruntime("SVMClassifier", [drawn(40, 4, seed=4)], n_outputs=2, **options)


def test_short_polynomials_are_written_as_quadratic_forms():
    options = machine("POLY", classes=3, features=2, degree=2.0, seed=3) | labels(3, False)
    vectors = drawn(24, 2, seed=1)
    options |= {"support_vectors": numbers(vectors), "vectors_per_class": [8, 8, 8]}
    options["coefficients"] = numbers(drawn(2, 24, seed=2))
    x = drawn(10, 2, seed=5)
    assert_as_onnxruntime("SVMClassifier", [x], n_outputs=2, tolerance=1e-4, **options)
    model = model_of("SVMClassifier", [x], n_outputs=2, **options)
    expanded = cml.NumpyModule.from_onnx(model).expanded.onnx_model
    assert not [node for node in expanded.graph.node if node.op_type == "Pow"]


def test_a_support_vector_machine_says_which_attribute_is_wrong():
    good = machine("RBF", 3) | labels(3, False)
    refused = {
        "kernel_type is 'COSINE'": {"kernel_type": "COSINE"},
        "kernel_params is .*, expected gamma, coef0 and degree": {"kernel_params": [1.0]},
        "number of rho is 1, expected 3": {"rho": [1.0]},
        "vectors_per_class is 2, expected one for each of 3": {"vectors_per_class": [2, 3]},
        "number of coefficients": {"coefficients": [1.0, 2.0, 3.0, 4.0]},
        "number of classlabels is 1": labels(1, False),
        "numbers of prob_a and prob_b": {"prob_a": [1.0], "prob_b": [1.0]},
    }
    for match, options in refused.items():
        assert_refused(match, "SVMClassifier", [drawn(2, 4)], n_outputs=2, **{**good, **options})
    regressor = {"coefficients": [1.0, 2.0], "n_supports": 2, "support_vectors": [1.0, 2.0]}
    assert_refused("rho is", "SVMRegressor", [drawn(2, 1)], **regressor)
    assert_refused("shape of X is", "SVMRegressor", [drawn(2, 4)], rho=[0.0], **regressor)


@pytest.mark.parametrize("threshold", [None, 0.5, -1.0])
def test_binarizer(threshold):
    options = {} if threshold is None else {"threshold": threshold}
    x = drawn(3, 4, size=2).round(1)
    assert_as_onnxruntime("Binarizer", [x], **options)
    for dtype in NUMBERS:
        (y,) = of_cml("Binarizer", [x.astype(dtype)], **options)
        assert_same(y, (x.astype(dtype) > (threshold or 0)).astype(dtype))


@pytest.mark.parametrize("replaced", [float("nan"), 0.5])
@pytest.mark.parametrize("imputed", [[1.0, 2.0, 3.0], [4.0]])
@pytest.mark.parametrize("place", [slice(None), 0])
def test_imputer_of_floats(replaced, imputed, place):
    x = np.float32([[0.5, np.nan, 1.0], [np.nan, 2.0, 0.5]])[place]
    options = {"imputed_value_floats": imputed, "replaced_value_float": replaced}
    assert_as_onnxruntime("Imputer", [x], **options)
    (wide,) = of_cml("Imputer", [x.astype(np.float64)], **options)
    assert_same(wide.astype(np.float32), of_onnxruntime("Imputer", [x], **options)[0])


@pytest.mark.parametrize("imputed", [[5, 6], [7]])
def test_imputer_of_integers(imputed):
    x = np.array([[0, 1], [2, 0]])
    options = {"imputed_value_int64s": imputed, "replaced_value_int64": 0}
    assert_as_onnxruntime("Imputer", [x], **options)
    (narrow,) = of_cml("Imputer", [x.astype(np.int32)], **options)
    assert narrow.dtype == np.int32


def test_an_imputer_needs_values_of_its_type():
    match = "imputed_value_floats is 0"
    assert_refused(match, "Imputer", [drawn(2, 2)], imputed_value_int64s=[1])
    match = "imputed_value_floats is 3, expected 1, or one for each of 2 features"
    assert_refused(match, "Imputer", [drawn(2, 2)], imputed_value_floats=[1.0, 2.0, 3.0])
    both = {"imputed_value_floats": [1.0], "imputed_value_int64s": [1]}
    assert_refused("imputed_value_int64s is", "Imputer", [drawn(2, 2)], **both)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("widths", [[2, 3], [4, 1], [6, 2], [1, 5]])
def test_feature_vectorizer(dtype, widths):
    x = drawn(3, 6, size=5).astype(dtype)
    for tensors in ([x[:, :4], x[:, 4:]], [x[0, :4], x[1, 4:]]):
        assert_as_onnxruntime("FeatureVectorizer", tensors, inputdimensions=widths)
    whole = x.reshape(3, 2, 3)
    assert_as_onnxruntime("FeatureVectorizer", [whole], inputdimensions=[sum(widths)])


def test_a_feature_vectorizer_needs_a_width_for_each_input():
    assert_refused(
        "inputdimensions is 2", "FeatureVectorizer", [drawn(2, 3)], inputdimensions=[3, 4]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(3, 4), (4,), (), (1, 2, 2)])
def test_one_hot_encoder(dtype, shape):
    x = (drawn(*shape, size=2) * 2 + 0 * drawn(1)[0]).round(1).astype(dtype)
    assert_as_onnxruntime("OneHotEncoder", [np.asarray(x)], cats_int64s=[-1, 0, 2, 1, 0])


def test_one_hot_encoder_of_strings():
    x = strings("a", "b", "x")
    assert_as_onnxruntime("OneHotEncoder", [x], cats_strings=["a", "b", "a"])
    assert_as_onnxruntime("OneHotEncoder", [x[:2].reshape(2, 1)], cats_strings=["b", "a"], zeros=0)


def test_a_one_hot_encoder_may_refuse_unknown_categories():
    x = np.array([1, 5])
    match = r"X is \[5\], expected known categories only"
    assert_refused(match, "OneHotEncoder", [x], cats_int64s=[1], zeros=0)
    assert_refused("categories is None", "OneHotEncoder", [x])
    assert_refused(
        "type of X is 'int64', expected strings", "OneHotEncoder", [x], cats_strings=["1"]
    )


@pytest.mark.parametrize("x", [strings("b", "x", "a"), np.array([[0, 5], [9, 1]])])
@pytest.mark.parametrize("defaults", [{}, {"default_string": "q", "default_int64": -5}])
def test_category_mapper(x, defaults):
    categories = {"cats_int64s": [0, 1, 0, 5], "cats_strings": ["a", "b", "c", "a"]}
    assert_as_onnxruntime("CategoryMapper", [x], **categories, **defaults)


@pytest.mark.parametrize("keys", [[1, 2, 3, 3], ["a", "b", "c", "d"]])
@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_zip_map(keys, shape):
    name = "classlabels_strings" if isinstance(keys[0], str) else "classlabels_int64s"
    x = drawn(*shape)
    (wanted,) = of_onnxruntime("ZipMap", [x], **{name: keys})
    (got,) = of_cml("ZipMap", [x], **{name: keys})
    assert got.dtype == object
    assert list(got) == wanted


def test_a_zip_map_needs_a_label_for_each_score():
    assert_refused("shape of X is", "ZipMap", [drawn(2, 3)], classlabels_int64s=[1, 2])
    assert_refused("labels is None", "ZipMap", [drawn(2, 3)])


def of_map(op_type, types, **attributes):
    """A model that takes a map of some key and value type and gives a tensor of another."""
    key, value, result = types
    kind = helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], domain=ML, **attributes)],
        "map",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info("y", result, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(ML, 1)], ir_version=8)


@pytest.mark.parametrize(
    ("types", "value", "attributes"),
    [
        (
            ("STRING", "FLOAT", "FLOAT"),
            {"a": 1.5, "c": 2.0},
            {"string_vocabulary": ["c", "b", "a"]},
        ),
        (("INT64", "FLOAT", "FLOAT"), {3: 0.5}, {"int64_vocabulary": [1, 3, 3]}),
    ],
)
def test_dict_vectorizer(types, value, attributes):
    types = [getattr(TensorProto, name) for name in types]
    model = of_map("DictVectorizer", types, **attributes)
    (wanted,) = session_of(model).run(None, {"x": value})
    assert_same(cml.NumpyModule.from_onnx(model)(value), wanted)


def test_dict_vectorizer_of_other_values():
    types = TensorProto.STRING, TensorProto.INT64, TensorProto.INT64
    module = cml.NumpyModule.from_onnx(
        of_map("DictVectorizer", types, string_vocabulary=["b", "a"])
    )
    assert_same(module({"a": 3}), np.array([[0, 3]]))
    assert_same(module({"a": np.float64(3)}), np.array([[0.0, 3.0]]))
    assert_same(module([{"a": "x"}, {}]), np.array([["", "x"], ["", ""]], dtype=object))
    with pytest.raises(NodeError, match="expected one map, or maps along one axis"):
        module(np.zeros(3))


@pytest.mark.parametrize("form", ["DENSE", "SPARSE"])
@pytest.mark.parametrize("target", ["FLOAT", "INT64", "STRING"])
def test_cast_map(form, target):
    types = TensorProto.INT64, TensorProto.FLOAT, getattr(TensorProto, target)
    options = {"map_form": form, "max_map": 4, "cast_to": f"TO_{target}"}
    model = of_map("CastMap", types, **options)
    value = {5: 0.1, 2: -7.75}
    (wanted,) = session_of(model).run(None, {"x": value})
    module = cml.NumpyModule.from_onnx(model)
    assert_same(module(value), wanted)
    texts = {"FLOAT": np.float32([[2.5]]), "INT64": np.array([[2]]), "STRING": strings("2.5")}
    if form == "DENSE":
        assert_same(module({1: "2.5"}), texts[target].reshape(1, 1))


def test_a_sparse_map_has_no_negative_keys():
    types = TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT
    module = cml.NumpyModule.from_onnx(of_map("CastMap", types, map_form="SPARSE"))
    with pytest.raises(NodeError, match="keys of 0 or more"):
        module({-1: 2.0})
    for name, value in (("map_form", "DENSER"), ("cast_to", "TO_BOOL")):
        module = cml.NumpyModule.from_onnx(of_map("CastMap", types, **{name: value}))
        with pytest.raises(NodeError, match=f"{name} is '{value}'"):
            module({1: 2.0})
