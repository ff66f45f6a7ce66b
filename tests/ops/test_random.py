"""Random numbers: fresh or reproducible, and distributed as they should be."""

import ml_dtypes
import numpy as np
import pytest

import cml_core as cml
from tests.one_node import assert_refused, feeds_of, of_reference, one_node, results

#: One model of each operator: its inputs and attributes.
LIKE = np.zeros((40, 50), dtype=np.float32)
MODELS = {
    "RandomUniform": ((), {"shape": [40, 50]}),
    "RandomNormal": ((), {"shape": [40, 50]}),
    "RandomUniformLike": ((LIKE,), {}),
    "RandomNormalLike": ((LIKE,), {}),
    "Bernoulli": ((LIKE + 0.5,), {}),
    "Multinomial": ((LIKE[:, :3],), {"sample_size": 50}),
    "Dropout": ((LIKE + 1, np.float32(0.5), np.array(True)), {}),
}


def drawn(op_type, seed=None, *, times=1):
    inputs, attributes = MODELS[op_type]
    if seed is not None:
        attributes = {**attributes, "seed": int(seed) if op_type == "Dropout" else seed}
    module = cml.NumpyModule.from_onnx(one_node(op_type, inputs, opset=22, **attributes))
    return [next(iter(module.run(feeds_of(inputs)).values())) for _ in range(times)]


@pytest.mark.parametrize("op_type", MODELS)
def test_numbers_are_fresh_without_a_seed_and_the_same_with_it(op_type):
    first, second = drawn(op_type, times=2)
    assert not np.array_equal(first, second)
    for seed in (0.0, 7.0, -1.0, 2.0**40):
        first, second = drawn(op_type, seed, times=2)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, drawn(op_type, seed)[0])
    assert not np.array_equal(drawn(op_type, 1.0), drawn(op_type, 2.0))


@pytest.mark.parametrize("op_type", [name for name in MODELS if name != "Dropout"])
def test_every_part_of_a_seed_counts(op_type):
    seeds = [0.25, 0.5, float("inf")]
    numbers = [drawn(op_type, seed)[0] for seed in seeds]
    assert not any(np.array_equal(numbers[k], numbers[k - 1]) for k in range(3))


@pytest.mark.parametrize("number", [1, 10, 11, 16])
@pytest.mark.parametrize("like", [False, True])
def test_uniform_numbers_fill_their_interval_evenly(number, like):
    attributes = {"low": -1.0, "high": 3.0, "dtype": number, "seed": 5.0}
    if like:
        (x,) = results("RandomUniformLike", [np.zeros(20000, np.int64)], opset=22, **attributes)
    else:
        (x,) = results("RandomUniform", [], opset=22, shape=[20000], **attributes)
    assert x.dtype == {1: "float32", 10: "float16", 11: "float64", 16: ml_dtypes.bfloat16}[number]
    x = x.astype(np.float64)
    assert x.min() >= -1 and x.max() <= 3
    counts = np.histogram(x, bins=8, range=(-1, 3))[0]
    np.testing.assert_allclose(counts, 2500, atol=200)


@pytest.mark.parametrize("like", [False, True])
def test_normal_numbers_have_their_mean_and_spread(like):
    attributes = {"mean": 2.0, "scale": 0.5, "seed": 5.0}
    if like:
        (x,) = results("RandomNormalLike", [np.zeros(20000)], opset=22, **attributes)
        assert x.dtype == np.float64
    else:
        (x,) = results("RandomNormal", [], opset=22, shape=[20000], **attributes)
        assert x.dtype == np.float32
    assert abs(x.mean() - 2) < 0.02 and abs(x.std() - 0.5) < 0.01
    assert abs((np.abs(x - 2) < 0.5).mean() - 0.6827) < 0.02


def test_seeded_numbers_are_those_of_the_reference():
    for op_type, (inputs, attributes) in MODELS.items():
        if op_type not in ("Multinomial", "Dropout"):
            options = {"opset": 22, "seed": 3.0, **attributes}
            (mine,), (theirs,) = (f(op_type, inputs, **options) for f in (results, of_reference))
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_bernoulli_gives_one_as_often_as_it_is_told():
    p = np.repeat(np.float32([0, 0.1, 0.5, 0.9, 1]), 4000).reshape(5, 4000)
    for dtype in (None, 6, 9, 16):
        attributes = {} if dtype is None else {"dtype": dtype}
        (y,) = results("Bernoulli", [p], opset=15, seed=1.0, **attributes)
        assert y.dtype == {None: "f4", 6: "i4", 9: "?", 16: ml_dtypes.bfloat16}[dtype]
        share = y.astype(np.float64).mean(axis=1)
        assert share[0] == 0 and share[4] == 1
        np.testing.assert_allclose(share, p[:, 0], atol=0.03)


def test_classes_are_drawn_as_often_as_their_probabilities():
    share = np.float32([[0.1, 0, 0.6, 0.3], [0, 0, 1, 0], [0.25, 0.25, 0.25, 0.25]])
    with np.errstate(divide="ignore"):
        x = np.log(share) + 700
    options = {"opset": 22, "sample_size": 20000, "seed": 2.0}
    for dtype, kind in ((6, np.int32), (7, np.int64)):
        (y,) = results("Multinomial", [x], dtype=dtype, **options)
        assert y.dtype == kind and y.shape == (3, 20000)
        got = [np.bincount(row, minlength=4) / 20000 for row in y]
        np.testing.assert_allclose(got, share, atol=0.02)
        assert got[0][1] == 0


@pytest.mark.parametrize("op_type", ["RandomUniform", "RandomNormal"])
@pytest.mark.parametrize("shape", [[1], [0], [2, 0, 3]])
def test_there_may_be_one_number_or_none(op_type, shape):
    assert results(op_type, [], opset=22, shape=shape)[0].shape == tuple(shape)


@pytest.mark.parametrize(
    ("match", "op_type", "inputs", "attributes"),
    [
        ("low is 2.0, expected at most high", "RandomUniform", [], {"shape": [1], "low": 2.0}),
        ("scale is -1.0", "RandomNormal", [], {"shape": [1], "scale": -1.0}),
        ("shape is .*sizes of at least 0", "RandomNormal", [], {"shape": [-1]}),
        ("10{9}, 10{9}", "RandomNormal", [], {"shape": [10**9, 10**9]}),
        ("dtype is 7, expected .* floating", "RandomUniform", [], {"shape": [1], "dtype": 7}),
        ("type of the input is .int64.*without dtype", "RandomNormalLike", [np.array([1])], {}),
        ("input is 1.5, expected probabilities", "Bernoulli", [np.float32([0, 1.5])], {}),
        ("input is nan", "Bernoulli", [np.float32([np.nan])], {}),
        ("sample_size is 0", "Multinomial", [LIKE], {"sample_size": 0}),
        ("dtype is 1, expected 6", "Multinomial", [LIKE], {"dtype": 1}),
        ("shape of input", "Multinomial", [LIKE[0]], {}),
        ("shape of input", "Multinomial", [LIKE[:, :0]], {}),
        ("finite largest", "Multinomial", [np.full((1, 2), -np.inf, np.float32)], {}),
        ("finite largest", "Multinomial", [np.float32([[0, np.nan]])], {}),
    ],
)
def test_what_has_no_distribution_is_refused(match, op_type, inputs, attributes):
    assert_refused(match, op_type, inputs, opset=22, **attributes)
