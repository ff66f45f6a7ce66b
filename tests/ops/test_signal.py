"""Fourier transforms, windows and mel matrices: against ONNX's reference and ONNX Runtime."""

import numpy as np
import pytest

from tests.one_node import (
    assert_as,
    assert_refused,
    of_onnxruntime,
    of_reference,
    quantized,
    results,
)


def transform_case(seed):
    """A signal of some shape, and what a DFT does with it."""
    rng = np.random.default_rng(seed)
    parts, inverse = int(rng.integers(1, 3)), int(rng.integers(0, 2))
    onesided = int(parts == (2 if inverse else 1)) * int(rng.integers(0, 2))
    shape = (*rng.integers(1, 6, int(rng.integers(1, 4))), parts)
    axis = int(rng.integers(0, len(shape) - 1))
    if inverse and onesided and shape[axis] == 1:
        shape = (*shape[:axis], 3, *shape[axis + 1 :])
    x = rng.normal(size=shape).astype(np.float64 if seed % 3 == 0 else np.float32)
    length = np.int64(rng.integers(1, 8)) if rng.random() < 0.5 else None
    return x, length, axis, {"inverse": inverse, "onesided": onesided}


@pytest.mark.parametrize("seed", range(60))
def test_dft(seed):
    x, length, axis, options = transform_case(seed)
    from_back = axis - x.ndim if seed % 2 else axis
    inputs = (x, length, np.int64(from_back))
    assert_as(of_reference, "DFT", inputs, opset=20, tolerance=1e-4, **options)
    if length is None or not (options["inverse"] and options["onesided"]):
        # ONNX Runtime departs from the reference where an inverse takes another number of bins.
        assert_as(of_onnxruntime, "DFT", inputs, opset=20, tolerance=1e-4, **options)
    assert_as(of_reference, "DFT", (x, length), opset=17, axis=axis, tolerance=1e-4, **options)


@pytest.mark.parametrize("seed", range(60))
def test_stft(seed):
    rng = np.random.default_rng(seed)
    parts, batch, size = int(rng.integers(1, 3)), rng.integers(0, 3), rng.integers(1, 12)
    x = rng.normal(size=(batch, size, parts)).astype(np.float64 if seed % 3 == 0 else np.float32)
    frame = int(rng.integers(1, size + 1))
    window = rng.normal(size=frame).astype(x.dtype) if rng.random() < 0.6 else None
    given = np.int64(frame) if window is None or rng.random() < 0.5 else None
    inputs = (x, np.int64(rng.integers(1, 5)), window, given)
    options = {"onesided": int(rng.integers(0, 2)) if parts == 1 else 0, "opset": 17}
    for other in (of_reference, of_onnxruntime):
        assert_as(other, "STFT", inputs, tolerance=1e-4, **options)


def test_a_real_signal_may_lack_the_axis_of_its_parts():
    """As PyTorch's exporter writes it; the reference takes no such signal."""
    signal = np.random.default_rng(0).normal(size=(2, 9)).astype(np.float32)
    inputs = (signal, np.int64(2), np.float32([0.5, 1, 1, 0.5]))
    assert_as(of_onnxruntime, "STFT", inputs, tolerance=1e-4, opset=17)
    integers, error = quantized("STFT", inputs, encrypted=(0,), opset=17)
    assert integers.report().lookups == 0
    assert error < 0.02


def test_a_transform_and_its_inverse():
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 2))
    (there,) = results("DFT", (x, None, np.int64(1)), opset=20)
    (back,) = results("DFT", (there, None, np.int64(1)), opset=20, inverse=1)
    np.testing.assert_allclose(back, x, atol=1e-12)
    real = x[..., :1]
    (half,) = results("DFT", (real, None, np.int64(1)), opset=20, onesided=1)
    assert half.shape == (2, 3, 3, 2)
    inputs = (half, np.int64(5), np.int64(1))
    (back,) = results("DFT", inputs, opset=20, onesided=1, inverse=1)
    np.testing.assert_allclose(back, real, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_transforms_take_no_lookup(seed):
    x, length, axis, options = transform_case(seed)
    inputs = (x.astype(np.float32), length, np.int64(axis))
    integers, error = quantized("DFT", inputs, encrypted=(0,), opset=20, **options)
    assert integers.report().lookups == 0
    assert error < 0.02
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(2, 9, 1)).astype(np.float32)
    inputs = (signal, np.int64(2), rng.uniform(0.1, 1, 4).astype(np.float32))
    integers, error = quantized("STFT", inputs, encrypted=(0,), opset=17)
    assert integers.report().lookups == 0
    assert error < 0.02


@pytest.mark.parametrize("op_type", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("kind", [1, 7, 11])
def test_windows(op_type, periodic, kind):
    for size in (0, 2, 3, 8, 31):
        options = {"periodic": periodic, "output_datatype": kind, "opset": 17}
        assert_as(of_onnxruntime, op_type, (np.int64(size),), tolerance=1e-6, **options)
    (one,) = results(op_type, (np.int32(1),), opset=17, periodic=0, output_datatype=kind)
    assert one.tolist() == [1]
    assert_refused("size", op_type, (np.int64(-1),), opset=17)
    assert_refused("output_datatype", op_type, (np.int64(3),), opset=17, output_datatype=8)


@pytest.mark.parametrize("seed", range(40))
def test_mel_weight_matrix(seed):
    rng = np.random.default_rng(seed)
    rate = int(rng.choice([8000, 22050, 44100]))
    low = rng.uniform(0, rate / 8) if seed % 2 else 0.0
    sizes = [np.int64(n) for n in (rng.integers(1, 20), rng.integers(1, 300), rate)]
    inputs = (*sizes, np.float32(low), np.float32(rng.uniform(low, rate / 2.2)))
    for other in (of_reference, of_onnxruntime):
        assert_as(other, "MelWeightMatrix", inputs, opset=17)


def test_what_is_wrong_is_said():
    real, complex_ = np.zeros((1, 4, 1), np.float32), np.zeros((1, 4, 2), np.float32)
    for match, inputs, options in (
        ("onesided", (complex_,), {"onesided": 1}),
        ("onesided", (real,), {"onesided": 1, "inverse": 1}),
        ("axis", (real, None, np.int64(2)), {}),
        ("axis", (real, None, np.int64(-4)), {}),
        ("dft_length", (real, np.int64(0)), {}),
        ("shape of the input", (np.zeros((1, 4, 3), np.float32),), {}),
    ):
        assert_refused(match, "DFT", inputs, opset=20, **options)
    window = np.ones(3, np.float32)
    for match, inputs in (
        ("frame_step", (real, np.int64(0), window)),
        ("frame_length", (real, np.int64(1), None, np.int64(5))),
        ("shape of window", (real, np.int64(1), window, np.int64(4))),
        ("shape of signal", (real[0, 0], np.int64(1), window)),
        ("onesided", (complex_, np.int64(1), window)),
    ):
        assert_refused(match, "STFT", inputs, opset=17)
    sizes = (np.int64(3), np.int64(8), np.int64(0), np.float32(0), np.float32(100))
    assert_refused("sample_rate", "MelWeightMatrix", sizes, opset=17)
