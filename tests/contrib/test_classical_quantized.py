"""How the operators of ai.onnx.ml are quantized: what they cost, and who computes what."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml
from cml_core.errors import ExportError, QuantizationError, UnsupportedNodesError
from cml_core.testing.trial import Trial
from tests.contrib.nodes import ML, feeds_of, model_of

#: Their bodies hold the values of leaves as integers.
ON_INTEGERS = {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}
BODIES = [
    pytest.param(entry.plugin, example, id=f"{entry.plugin.schema.op_type}-{example.name or place}")
    for entry in cml.default_registry()
    if entry.plugin.body is not None and entry.plugin.quantized_op is None
    if entry.plugin.schema.op_type not in ON_INTEGERS
    for place, example in enumerate(entry.plugin.examples)
]


@pytest.mark.parametrize(("plugin", "example"), BODIES)
def test_a_body_computes_what_its_operator_does(plugin, example):
    trial = Trial(plugin, example)
    places = range(len(example.inputs))
    module, feeds = trial.module(clear=()), trial.feeds(places)
    assert module.expanded is not module
    got, wanted = module.expanded.run(feeds), module.run(feeds)
    for name, want in wanted.items():
        assert got[name].dtype == want.dtype
        assert got[name].shape == want.shape
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(got[name], want)


def samples_of(*shape, size=1.0, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)


def quantized(op_type, samples, *, n_bits=6, tail="client", **options):
    """A node on samples of one row each, on integers, and what it is in float."""
    module = cml.NumpyModule.from_onnx(model_of(op_type, [samples[0]], **options))
    config = cml.QuantConfig.with_bits(n_bits, tail=tail)
    integers = cml.quantize(module, samples, config)
    float_ = [module.run(feeds_of([one])) for one in samples]
    wanted = [np.stack([one[name] for one in float_]) for name in float_[0]]
    got = [
        y.reshape(w.shape)
        for y, w in zip(integers.run({"input0": samples}).values(), wanted, strict=True)
    ]
    return integers, got, wanted


WEIGHTS = {"coefficients": [1.0, -2.0, 0.5, -1.0, 1.0, 2.0], "intercepts": [0.5, 0.0]}
MACHINE = {
    "kernel_type": "RBF",
    "kernel_params": [0.5, 0.0, 0.0],
    "support_vectors": [1.0, 0.0, -1.0, 0.5, 1.0, 0.0],
    "coefficients": [1.0, -1.0],
    "vectors_per_class": [1, 1],
    "rho": [0.1],
}


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize(
    "labels", [{"classlabels_strings": ["a", "b"]}, {"classlabels_ints": [4, 2]}]
)
def test_labels_and_scores_are_the_clients(transform, labels):
    options = {**WEIGHTS, **labels, "post_transform": transform, "n_outputs": 2}
    integers, got, wanted = quantized("LinearClassifier", samples_of(40, 1, 3), **options)
    assert integers.report().lookups == 0
    assert np.mean(got[0] == wanted[0]) >= 0.95
    assert np.abs(got[1] - wanted[1]).mean() < 0.05 * np.ptp(wanted[1])


def test_integer_labels_may_be_the_servers():
    options = {**WEIGHTS, "classlabels_ints": [4, 2], "n_outputs": 2, "tail": "server"}
    integers, got, wanted = quantized("LinearClassifier", samples_of(40, 1, 3), **options)
    assert integers.report().lookups > 0
    assert np.mean(got[0] == wanted[0]) >= 0.9


def test_strings_and_probabilities_are_never_the_servers():
    samples = samples_of(20, 1, 3)
    named = {"classlabels_strings": ["a", "b"], "n_outputs": 2, "tail": "server"}
    with pytest.raises(QuantizationError, match=r'choose strings. Use tail="client"'):
        quantized("LinearClassifier", samples, **WEIGHTS, **named)
    numbered = {**named, "prob_a": [-1.0], "prob_b": [0.0], "classlabels_ints": [0, 1]}
    del numbered["classlabels_strings"]
    with pytest.raises(UnsupportedNodesError, match="PairwiseProbabilities"):
        quantized("SVMClassifier", samples, **MACHINE, **numbered)
    integers = np.arange(12).reshape(12, 1, 1) % 3
    encoder = {"keys_int64s": [0, 1, 2], "values_strings": ["a", "b", "c"], "version": 4}
    with pytest.raises(QuantizationError, match="it gives strings"):
        quantized("LabelEncoder", integers, tail="server", **encoder)


def test_a_linear_machine_costs_no_lookup_and_a_radial_one_one_for_each_vector_and_feature():
    samples, labels = samples_of(40, 1, 3), {"classlabels_ints": [1, 0], "n_outputs": 2}
    linear, got, wanted = quantized(
        "SVMClassifier", samples, **{**MACHINE, "kernel_type": "LINEAR"}, **labels
    )
    assert linear.report().lookups == 0
    assert np.mean(got[0] == wanted[0]) >= 0.95
    radial, got, wanted = quantized("SVMClassifier", samples, **MACHINE, **labels)
    assert radial.report().lookups <= 2 + 2 * 3
    assert np.mean(got[0] == wanted[0]) >= 0.9


def test_a_quadratic_machine_costs_a_lookup_for_each_axis_of_its_form():
    vectors = samples_of(30, 3, seed=1)
    machine = {
        "kernel_type": "POLY",
        "kernel_params": [0.5, 1.0, 2.0],
        "support_vectors": vectors.reshape(-1).tolist(),
        "coefficients": samples_of(30, seed=2).tolist(),
        "n_supports": 30,
        "rho": [0.5],
    }
    integers, (got,), (wanted,) = quantized("SVMRegressor", samples_of(60, 1, 3), **machine)
    assert integers.report().lookups <= 4
    assert np.abs(got - wanted).max() < 0.15 * np.ptp(wanted)


@pytest.mark.parametrize("tail", ["client", "server"])
def test_codes_are_told_apart_at_any_width(tail):
    # 40 codes on a grid of two bits would be four.
    codes = np.random.default_rng(0).permutation(np.arange(40)).reshape(40, 1, 1)
    table = {"keys_int64s": list(range(40)), "values_int64s": [(7 * k) % 40 for k in range(40)]}
    integers, (got,), (wanted,) = quantized(
        "LabelEncoder", codes, n_bits=2, version=4, tail=tail, **table
    )
    np.testing.assert_array_equal(got, wanted)
    assert integers.report().lookups == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_categories_cost_no_lookup(dtype):
    samples = np.random.default_rng(0).integers(-2, 4, (30, 1, 3)).astype(dtype)
    integers, (got,), (wanted,) = quantized(
        "OneHotEncoder", samples, n_bits=2, tail="server", cats_int64s=[3, 0, -1, 2]
    )
    np.testing.assert_array_equal(got, wanted)
    assert integers.report().lookups == 0


def test_a_threshold_is_exact():
    samples = samples_of(30, 1, 4)
    integers, (got,), (wanted,) = quantized(
        "Binarizer", samples, n_bits=2, tail="server", threshold=0.25
    )
    np.testing.assert_array_equal(got, wanted)
    assert integers.report().lookups == 0


def test_a_marker_is_replaced_though_its_grid_does_not_have_it():
    samples = samples_of(40, 1, 3)
    samples[::3, 0, 1] = -7.3
    options = {"imputed_value_floats": [1.0, 2.0, 3.0], "replaced_value_float": -7.3}
    _, (got,), (wanted,) = quantized("Imputer", samples, n_bits=5, **options)
    assert np.abs(got - wanted).max() < 0.25


def test_an_encrypted_index_chooses_from_clear_rows():
    table = samples_of(2, 5)
    model = model_of("ArrayFeatureExtractor", [table, np.array([0, 0])], constants=(0,))
    module = cml.NumpyModule.from_onnx(model)
    indices = np.random.default_rng(0).integers(0, 5, (20, 2))
    integers = cml.quantize(module, indices, cml.QuantConfig.with_bits(5, tail="server"))
    for one in indices:
        got, wanted = integers(one[np.newaxis]), module(one)
        assert np.abs(got - wanted).max() < 0.1
    both = model_of("ArrayFeatureExtractor", [table, np.array([0, 0])])
    data = {"input0": np.stack([table] * 20), "input1": indices}
    with pytest.raises(QuantizationError, match="both encrypted"):
        cml.quantize(cml.NumpyModule.from_onnx(both), data)


def test_features_of_several_inputs_come_together():
    model = model_of(
        "FeatureVectorizer", [samples_of(1, 2), np.array([[3]])], inputdimensions=[2, 1]
    )
    module = cml.NumpyModule.from_onnx(model)
    data = {
        "input0": samples_of(20, 1, 2),
        "input1": np.random.default_rng(0).integers(-3, 4, (20, 1, 1)),
    }
    integers = cml.quantize(module, data, n_bits=8)
    got = integers.run(data)["output0"]
    wanted = np.concatenate([data["input0"], data["input1"]], axis=2)[:, 0]
    assert got.dtype == np.float32
    assert np.abs(got.reshape(wanted.shape) - wanted).max() < 0.05
    assert integers.report().lookups == 0


@pytest.mark.parametrize("thresholds", ["thermometer", "bins"])
@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_codes_that_calibration_has_not_seen_are_told_apart_too(thresholds, dtype):
    keys = np.arange(12).astype(dtype) * dtype(1 if dtype is np.int64 else 0.1)
    name = "keys_int64s" if dtype is np.int64 else "keys_floats"
    table = {name: keys.tolist(), "values_int64s": list(range(100, 112)), "version": 4}
    module = cml.NumpyModule.from_onnx(model_of("LabelEncoder", [keys[:1].reshape(1, 1)], **table))
    config = cml.QuantConfig.with_bits(2, tail="server", thresholds=thresholds)
    samples = np.append(keys, dtype(-3)).reshape(-1, 1, 1)
    integers = cml.quantize(module, samples[::3], config)
    got = integers(samples).reshape(-1)
    np.testing.assert_array_equal(got, [*range(100, 112), -1])


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_categories_are_exact_behind_a_cast_and_side_by_side_and_cost_nothing(dtype):
    # As skl2onnx writes OneHotEncoder: a column at a time, cast to integers.
    nodes = [
        helper.make_node("Gather", ["x", "zero"], ["a"], axis=1),
        helper.make_node("Gather", ["x", "one"], ["b"], axis=1),
        helper.make_node("Cast", ["a"], ["a_int"], to=TensorProto.INT64),
        helper.make_node("Cast", ["b"], ["b_int"], to=TensorProto.INT64),
        helper.make_node("OneHotEncoder", ["a_int"], ["a_hot"], domain=ML, cats_int64s=[2, 5, 6]),
        helper.make_node("OneHotEncoder", ["b_int"], ["b_hot"], domain=ML, cats_int64s=[-1, 0]),
        helper.make_node("Concat", ["a_hot", "b_hot"], ["hot"], axis=2),
        helper.make_node("Reshape", ["hot", "rows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["y"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "rows": np.array([-1, 5]),
        "weights": np.float32([[1, 0], [2, 1], [-1, 1], [0, 3], [1, 1]]),
    }
    graph = helper.make_graph(
        nodes,
        "hot",
        [
            helper.make_tensor_value_info(
                "x", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["N", 2]
            )
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid(ML, 1), helper.make_opsetid("", 13)]
    module = cml.NumpyModule.from_onnx(
        helper.make_model(graph, opset_imports=imports, ir_version=8)
    )
    x = np.array([[2, -1], [5, 0], [6, 0], [7, 1], [2, 0]], dtype=dtype)
    integers = cml.quantize(module, x, n_bits=3)
    assert integers.report().lookups == 0
    np.testing.assert_allclose(integers(x), module(x), atol=1e-6)


def test_a_model_that_gives_maps_or_needs_operators_of_ours_is_not_exported():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    maps = helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    pairs = helper.make_node(
        "PairwiseProbabilities", ["p"], ["y"], domain="cml", prob_a=[-1.0], prob_b=[0.0]
    )
    for node, columns, reason in ((maps, 2, "maps"), (pairs, 1, "not in ONNX")):
        weight = numpy_helper.from_array(np.eye(2, columns, dtype=np.float32), "w")
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["p"]), node],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
            [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
            [weight],
        )
        opsets = [helper.make_opsetid(d, v) for d, v in (("", 18), ("ai.onnx.ml", 3), ("cml", 1))]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        quantized = cml.quantize(cml.NumpyModule.from_onnx(model), x, n_bits=6)
        with pytest.raises(ExportError, match=reason):
            quantized.to_onnx()
