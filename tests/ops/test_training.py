"""Dropout and BatchNormalization in training, and PRelu's slopes of old opsets."""

import ml_dtypes
import numpy as np
import pytest

import cml_core as cml
from tests.one_node import (
    assert_as,
    assert_refused,
    feeds_of,
    of_onnxruntime,
    one_node,
    quantized,
    results,
)

TRUE = np.array(True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("ratio", [None, 0.25, 0.9])
def test_dropout_drops_a_share_and_scales_the_rest(dtype, ratio):
    x = np.random.default_rng(0).uniform(1, 2, (100, 200)).astype(dtype)
    share = None if ratio is None else np.float32(ratio)
    y, kept = results("Dropout", [x, share, TRUE], opset=13, n_outputs=2, seed=4)
    assert y.dtype == x.dtype and kept.dtype == bool
    share = 0.5 if ratio is None else ratio
    assert abs(kept.mean() - (1 - share)) < 0.01
    np.testing.assert_array_equal(y == 0, ~kept)
    exact = x.astype(np.float64) / (1 - share)
    digits = {2: 1e-2, 4: 1e-6, 8: 1e-6}[x.dtype.itemsize]
    np.testing.assert_allclose(y.astype(np.float64)[kept], exact[kept], rtol=digits)


@pytest.mark.parametrize("inputs", [[TRUE], [np.float32(0.0), TRUE], [np.float32(0.5), ~TRUE]])
def test_dropout_that_drops_nothing_gives_the_data(inputs):
    x = np.float32([1, np.inf, -2])
    if len(inputs) == 1:
        inputs = [np.float32(0.5), np.array(False)]
    y, kept = results("Dropout", [x, *inputs], opset=13, n_outputs=2)
    np.testing.assert_array_equal(y, x)
    assert kept.all()


@pytest.mark.parametrize("ratio", [-0.5, 1.0, np.nan])
def test_dropout_refuses_what_is_no_share(ratio):
    inputs = [np.ones(3, np.float32), np.float32(ratio), TRUE]
    assert_refused("ratio is .*at least 0 and below 1", "Dropout", inputs, opset=13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2), (5,)])
def test_batches_are_normalized_by_their_own_statistics(dtype, shape):
    rng = np.random.default_rng(0)
    channels = 1 if len(shape) == 1 else shape[1]
    x = (50 + rng.normal(size=shape)).astype(dtype)
    parameters = [rng.uniform(0.5, 2, channels).astype(dtype) for _ in range(4)]
    options = {"opset": 15, "n_outputs": 3, "training_mode": 1, "momentum": 0.7, "epsilon": 0.01}
    tolerance = 1e-2 if dtype == np.float16 else 1e-4
    inputs = [x, *parameters]
    assert_as(of_onnxruntime, "BatchNormalization", inputs, tolerance=tolerance, **options)


def test_batches_and_statistics_have_types_of_their_own():
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(ml_dtypes.bfloat16)
    half, single = np.ones(3, np.float16), np.ones(3, np.float32)
    inputs = [x, half, half, single, single]
    found = results("BatchNormalization", inputs, opset=15, n_outputs=3, training_mode=1)
    assert [array.dtype for array in found] == [x.dtype, np.float32, np.float32]
    (y,) = results("BatchNormalization", inputs, opset=15)
    assert y.dtype == x.dtype


@pytest.mark.parametrize(("opset", "n_outputs"), [(7, 5), (9, 3), (15, 3)])
def test_outputs_of_training_need_its_mode(opset, n_outputs):
    inputs = [np.ones((1, 3, 2), np.float32), *(np.ones(3, np.float32) for _ in range(4))]
    match = "outputs beside Y are for training"
    assert_refused(match, "BatchNormalization", inputs, opset=opset, n_outputs=n_outputs)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        (
            "BatchNormalization",
            [np.ones((2, 3), "f"), *[np.ones(3, "f")] * 4],
            {"training_mode": 1},
        ),
        ("Dropout", [np.ones((2, 3), "f"), np.float32(0.5), TRUE], {}),
    ],
)
def test_training_is_refused_on_encrypted_integers(op_type, inputs, attributes):
    constants = tuple(range(1, len(inputs)))
    model = one_node(op_type, inputs, opset=15, constants=constants, **attributes)
    data = {name: array[np.newaxis] for name, array in feeds_of(inputs, constants).items()}
    with pytest.raises(cml.CmlError, match="training"):
        cml.quantize(cml.NumpyModule.from_onnx(model), data)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 1), (2, 3, 4, 5), (2, 3)])
def test_a_slope_for_each_channel_is_found(shape):
    rng = np.random.default_rng(0)
    x, slope = rng.normal(size=shape).astype(np.float32), np.float32([0.5, -1, 2])
    aligned = slope.reshape(3, *(1,) * (len(shape) - 2))
    wanted = np.where(x < 0, aligned * x, x)
    np.testing.assert_array_equal(results("PRelu", [x, slope], opset=9)[0], wanted)
    _, error = quantized("PRelu", [x, slope], encrypted=(0,), opset=16)
    assert error < 0.02


def test_a_slope_that_broadcasts_is_taken_as_it_stands():
    x = -np.ones((2, 3, 3), np.float32)
    (y,) = results("PRelu", [x, np.float32([0.5, 1, 2])], opset=16)
    np.testing.assert_array_equal(y, np.broadcast_to(np.float32([-0.5, -1, -2]), x.shape))


@pytest.mark.parametrize("size", [2, 4])
def test_a_slope_of_another_size_is_refused(size):
    inputs = [np.ones((2, 3, 5), np.float32), np.ones(size, np.float32)]
    assert_refused("broadcast", "PRelu", inputs, opset=16)
