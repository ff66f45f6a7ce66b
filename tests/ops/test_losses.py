"""Losses: against onnxruntime, and what cannot be."""

import numpy as np
import pytest

from tests.one_node import assert_as, assert_refused, of_onnxruntime, results

SHAPES = [(4, 3), (2, 3, 5), (2, 5, 2, 3), (3, 1)]


def inputs_of(shape, *, ignored=None, weighted=False, dtype=np.float32, index=np.int64):
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=shape).astype(dtype)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    if ignored is not None:
        target = np.where(rng.uniform(size=target.shape) < 0.3, ignored, target)
        target.reshape(-1)[0] = ignored
    weight = [rng.uniform(0.1, 2, shape[1]).astype(dtype)] if weighted else []
    return [x, target.astype(index), *weight]


@pytest.mark.parametrize(
    ("op_type", "opset", "n_outputs"),
    [
        ("NegativeLogLikelihoodLoss", 12, 1),
        ("NegativeLogLikelihoodLoss", 22, 1),
        ("SoftmaxCrossEntropyLoss", 13, 2),
    ],
)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_onnxruntime(op_type, opset, n_outputs, reduction, shape, weighted):
    for ignored, dtype, index in (
        (None, np.float32, np.int32),
        (0, np.float64, np.int64),
        (-7, np.float32, np.int64),
    ):
        inputs = inputs_of(shape, ignored=ignored, weighted=weighted, dtype=dtype, index=index)
        attributes = {} if ignored is None else {"ignore_index": ignored}
        options = {"opset": opset, "n_outputs": n_outputs, "reduction": reduction}
        assert_as(of_onnxruntime, op_type, inputs, **options, **attributes)


@pytest.mark.parametrize("op_type", ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"])
def test_the_mean_of_nothing_is_no_number(op_type):
    (loss,) = results(op_type, inputs_of((0, 3)), opset=13)
    assert loss.shape == () and np.isnan(loss)
    x, target = inputs_of((2, 3))
    (loss,) = results(op_type, [x, np.full_like(target, 9)], opset=13, ignore_index=9)
    assert np.isnan(loss)


def test_scores_far_apart_lose_what_lies_between_them():
    scores = np.float32([[0, 1000, -1000]])
    for target, wanted in ((0, 1000), (1, 0), (2, 2000)):
        (loss,) = results("SoftmaxCrossEntropyLoss", [scores, np.array([target])], opset=13)
        assert loss == wanted


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("target is 3, expected a class from 0 to 2", {"target": np.array([0, 3])}),
        ("target is -1, expected a class", {"target": np.array([0, -1])}),
        (r"shape of target is \(1,\), expected \(2,\)", {"target": np.array([0])}),
        (r"shape of weight is \(2,\), expected \(3,\)", {"weight": np.float32([1, 2])}),
        ("reduction is 'median', expected none, sum or mean", {"reduction": "median"}),
    ],
)
def test_what_does_not_fit_is_refused(match, change):
    x, target = inputs_of((2, 3))
    tensors = [x, change.pop("target", target), change.pop("weight", np.ones(3, np.float32))]
    assert_refused(match, "NegativeLogLikelihoodLoss", tensors, opset=13, **change)


def test_classes_need_an_axis():
    x, target = np.zeros(3, np.float32), np.array(0)
    assert_refused("shape of scores", "SoftmaxCrossEntropyLoss", [x, target], opset=13)
