"""BitCast, Det and the places of MaxPool's maxima: against ONNX Runtime, and in integers."""

import numpy as np
import pytest
from onnx import TensorProto

from cml_core.errors import QuantizationError
from tests.one_node import assert_as, assert_refused, of_onnxruntime, quantized, results


@pytest.mark.parametrize("seed", range(60))
def test_max_pool_says_where_maxima_were(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    kernel = rng.integers(1, 4, rank)
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 3)), *rng.integers(5, 8, rank).tolist())
    options = {
        "kernel_shape": kernel.tolist(),
        "strides": rng.integers(1, 4, rank).tolist(),
        "storage_order": int(rng.integers(0, 2)),
        "ceil_mode": int(rng.integers(0, 2)),
    }
    if seed % 3 == 0:
        options |= {"auto_pad": "VALID", "ceil_mode": 0}
    elif seed % 3 == 1:
        pads = [int(rng.integers(0, k)) for k in kernel]
        options |= {"pads": [*pads, *pads], "dilations": rng.integers(1, 3, rank).tolist()}
    else:
        options |= {"auto_pad": "SAME_UPPER", "ceil_mode": 0}
        options["strides"] = np.minimum(options["strides"], kernel).tolist()
    # Few different values, so that the first of equal ones must be found.
    x = rng.integers(-2, 3, shape).astype(np.float64 if seed % 2 else np.float32)
    assert_as(of_onnxruntime, "MaxPool", (x,), opset=12, n_outputs=2, **options)


def test_places_of_encrypted_maxima_are_refused():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    with pytest.raises(QuantizationError, match="output Indices is used"):
        quantized("MaxPool", (x,), encrypted=(0,), opset=12, n_outputs=2, kernel_shape=[2])


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (0, 3, 3), (2, 0, 0), (2, 3, 5, 5)])
def test_det(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert_as(of_onnxruntime, "Det", (x,), opset=22, tolerance=1e-4)
    (double,) = results("Det", (x.astype(np.float64),), opset=11)
    np.testing.assert_allclose(double, np.linalg.det(x.astype(np.float64)))
    (half,) = results("Det", (x.astype(np.float16),), opset=22)
    assert half.dtype == np.float16
    assert half.shape == shape[:-2]


@pytest.mark.parametrize(("rows", "error"), [(1, 0.01), (2, 0.05), (3, 0.15)])
def test_det_in_integers(rows, error):
    x = np.random.default_rng(rows).normal(size=(2, rows, rows)).astype(np.float32)
    assert quantized("Det", (x,), encrypted=(0,), n_bits=6, opset=22)[1] < error


def test_det_refuses():
    assert_refused("square", "Det", (np.zeros((2, 3), np.float32),), opset=22)
    with pytest.raises(QuantizationError, match="4 rows"):
        quantized("Det", (np.eye(4, dtype=np.float32),), encrypted=(0,), opset=22)


@pytest.mark.parametrize(
    ("kind", "to"),
    [
        (np.float32, TensorProto.INT32),
        (np.float64, TensorProto.UINT64),
        (np.int16, TensorProto.FLOAT16),
        (np.uint16, TensorProto.BFLOAT16),
        (np.bool_, TensorProto.UINT8),
        (np.int64, TensorProto.INT64),
    ],
)
def test_bit_cast(kind, to):
    x = np.arange(12).reshape(3, 4).T.astype(kind)
    (got,) = results("BitCast", (x,), opset=26, to=to)
    assert got.shape == x.shape
    assert got.tobytes() == x.tobytes()


def test_bit_cast_of_integers_takes_no_lookup():
    x = np.array([[-8, -1, 0, 7]], dtype=np.int8)
    integers, error = quantized(
        "BitCast", (x,), encrypted=(0,), n_bits=4, opset=26, tail="client", to=TensorProto.UINT8
    )
    assert (integers.report().lookups, error) == (0, 0)


def test_bit_cast_refuses():
    x = np.zeros(3, np.float32)
    for to in (TensorProto.INT64, TensorProto.STRING, 99):
        assert_refused("to is", "BitCast", (x,), opset=26, to=to)
    assert_refused("to is", "BitCast", (x.astype(np.int8),), opset=26, to=TensorProto.INT4)
    with pytest.raises(QuantizationError, match="the bits of float32"):
        quantized("BitCast", (x,), encrypted=(0,), opset=26, to=TensorProto.INT32)
