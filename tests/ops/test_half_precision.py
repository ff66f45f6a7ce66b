"""Half precision: results of the type of the inputs, sums that do not stop growing."""

import ml_dtypes
import numpy as np
import pytest

from cml_ops_builtin._shared import half_precision
from tests.one_node import results

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
RNG = np.random.default_rng(0)
#: Long rows: in bfloat16, a sum of them stops where the next element is no longer seen.
LONG = RNG.uniform(0.5, 1.5, (2, 3, 1000)).astype(np.float32)
SHORT = RNG.normal(size=(2, 3, 4, 8)).astype(np.float32)
KERNEL = RNG.uniform(0.5, 1.5, (3, 1, 400)).astype(np.float32)
AXIS = np.array([-1])

CASES = [
    ("MatMul", [LONG / 100, LONG.swapaxes(1, 2)], {"opset": 13}),
    ("MatMul", [LONG[0, 0] / 100, LONG[1, 0]], {"opset": 13}),
    ("Conv", [LONG, KERNEL / 100], {"opset": 22, "group": 3}),
    ("Conv", [LONG, KERNEL.reshape(1, 3, 400) / 100, KERNEL[0, 0, :1]], {"opset": 22}),
    ("Softmax", [LONG], {"opset": 13}),
    ("Softmax", [LONG], {"opset": 11, "axis": 2}),
    ("LogSoftmax", [LONG], {"opset": 13}),
    ("SoftmaxCrossEntropyLoss", [LONG, np.ones((2, 1000), np.int64)], {"opset": 13}),
    ("ReduceProd", [LONG**0.01, AXIS], {"opset": 18}),
    ("ReduceSum", [LONG / 100, AXIS], {"opset": 13}),
    ("MaxRoiPool", [SHORT, np.float32([[0, 1, 0, 5, 3]])], {"opset": 22, "pooled_shape": [2, 2]}),
    ("Attention", [SHORT, SHORT, SHORT], {"opset": 23}),
    ("Attention", [SHORT, SHORT, SHORT, SHORT[0, 0, :, :4]], {"opset": 24, "softcap": 0.75}),
    ("Attention", [SHORT, SHORT, SHORT], {"opset": 25, "is_causal": 1, "scale": -0.5}),
    ("PRelu", [SHORT, SHORT[0, 0, 0]], {"opset": 16}),
]


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize(
    ("op_type", "inputs", "options"), CASES, ids=[f"{case[0]}-{k}" for k, case in enumerate(CASES)]
)
def test_half_precision_is_kept_and_close_to_single(half, op_type, inputs, options):
    if op_type == "MaxRoiPool" and half == np.float16:
        options = {**options, "opset": 11}
    low = [x.astype(half) if x.dtype == np.float32 else x for x in inputs]
    same = [x.astype(np.float32) if x.dtype == half else x for x in low]
    (got,), (wanted,) = results(op_type, low, **options), results(op_type, same, **options)
    assert got.dtype == half
    step = 2.0**-7 if half == ml_dtypes.bfloat16 else 2.0**-10
    largest = np.abs(wanted).max()
    np.testing.assert_allclose(got.astype(np.float64), wanted, atol=3 * step * largest)


EXTREMES = [
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "opset": 22}),
    ("MaxPool", {"kernel_shape": [2, 3], "dilations": [2, 1], "ceil_mode": 1, "opset": 22}),
    ("GlobalMaxPool", {"opset": 22}),
    ("ReduceMax", {"opset": 20}),
    ("ReduceMin", {"opset": 20, "keepdims": 0}),
    ("ReduceMax", {"opset": 13, "axes": [1, 3]}),
    ("ReduceMin", {"opset": 13, "axes": [0], "keepdims": 0}),
]


def hard_to_order(half, kind):
    """Few values, so that many are alike; NaN of any payload; zeros of both signs."""
    rng = np.random.default_rng(1)
    if kind == "any bits":
        return rng.integers(0, 2**16, (2, 3, 20, 21), dtype=np.uint16).view(half)
    x = np.rint(rng.normal(size=(2, 3, 20, 21)))
    if kind == "positive":
        return np.abs(x).astype(half)
    if kind == "infinite":
        x[x == 0] = -np.inf
    if kind == "rarely NaN":
        x[1, 2, 5, 7] = np.nan
    return x.astype(half)


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("kind", ["any bits", "zeros", "positive", "infinite", "rarely NaN"])
@pytest.mark.parametrize(("op_type", "options"), EXTREMES)
def test_extremes_are_those_of_half_precision_to_the_last_bit(
    monkeypatch, half, kind, op_type, options
):
    x = hard_to_order(half, kind)
    (got,) = results(op_type, [x], **options)
    monkeypatch.setattr(half_precision, "_FEW", x.size + 1)
    (wanted,) = results(op_type, [x], **options)
    assert got.dtype == half
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got.view(np.uint16), wanted.view(np.uint16))


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_extremes_are_found_in_single_precision(half):
    seen = []

    def choose(x):
        seen.append(x.dtype)
        return x.max(axis=-1)

    x = RNG.uniform(1, 2, (2, 1000)).astype(half)
    assert half_precision.chosen_in_single(choose, x).dtype == half
    assert half_precision.chosen_in_single(choose, x[:, :100]).dtype == half
    assert seen == [np.float32, half]


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_the_extremes_of_nothing_are_infinite(half):
    empty = np.zeros((0, 3), dtype=half)
    for op_type, end in (("ReduceMax", -np.inf), ("ReduceMin", np.inf)):
        (got,) = results(op_type, [empty, np.array([0])], opset=20, keepdims=0)
        assert got.dtype == half
        assert got.astype(np.float32).tolist() == [end] * 3
