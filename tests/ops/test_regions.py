"""Regions of interest and deformable convolutions: against ONNX Runtime, and in integers."""

import numpy as np
import pytest

from cml_core.errors import QuantizationError
from tests.one_node import assert_as, assert_refused, of_onnxruntime, quantized, results


def images(rng, dtype=np.float32, **sizes):
    shape = (sizes.get("count", rng.integers(1, 4)), *rng.integers(1, 4, 1), *rng.integers(1, 9, 2))
    return rng.normal(size=shape).astype(dtype)


def regions(rng, count, dtype=np.float32, least=-0.5):
    first = rng.uniform(-3, 9, (count, 2))
    return np.concatenate([first, first + rng.uniform(least, 6, (count, 2))], axis=1).astype(dtype)


@pytest.mark.parametrize("seed", range(40))
def test_max_roi_pool_as_onnxruntime(seed):
    rng = np.random.default_rng(seed)
    x = images(rng)
    count = int(rng.integers(1, 5))
    rois = np.concatenate([rng.integers(0, len(x), (count, 1)), regions(rng, count, least=-3)], 1)
    options = {
        "pooled_shape": rng.integers(1, 5, 2).tolist(),
        "spatial_scale": float(rng.choice([1.0, 0.5, 0.3])),
    }
    assert_as(of_onnxruntime, "MaxRoiPool", (x, rois.astype(np.float32)), opset=11, **options)


@pytest.mark.parametrize("seed", range(60))
def test_roi_align_as_onnxruntime(seed):
    rng = np.random.default_rng(seed)
    dtype = np.float64 if seed % 3 == 0 else np.float32
    x = images(rng, dtype)
    count = int(rng.integers(0, 5))
    options = {
        "output_height": int(rng.integers(1, 4)),
        "output_width": int(rng.integers(1, 4)),
        "spatial_scale": float(rng.choice([1.0, 0.5, 0.3])),
        "sampling_ratio": int(rng.integers(0, 3)),
        "mode": "max" if seed % 2 else "avg",
        "opset": 10 if seed % 4 == 0 else 16,
    }
    if seed % 4 == 1:
        options["coordinate_transformation_mode"] = "output_half_pixel"
    inputs = (x, regions(rng, count, dtype), rng.integers(0, len(x), count))
    assert_as(of_onnxruntime, "RoiAlign", inputs, **options)


def deformable(rng, dtype=np.float32, count=None):
    """Inputs and attributes of some deformable convolution."""
    size, kernel = rng.integers(4, 8, 2), rng.integers(1, 4, 2)
    group, offset_group = (int(rng.choice([1, 2, 3])) for _ in range(2))
    strides, pads = rng.integers(1, 3, 2), rng.integers(0, 3, 4)
    dilations = np.where(kernel < 3, rng.integers(1, 3, 2), 1)
    output = (size + pads[:2] + pads[2:] - (kernel - 1) * dilations - 1) // strides + 1
    channels = int(np.lcm(group, offset_group))
    count = int(rng.integers(0, 3)) if count is None else count
    cells = int(np.prod(kernel)) * offset_group

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(dtype)

    inputs = (
        normal(count, channels, *size),
        normal(group * 2, channels // group, *kernel),
        normal(count, 2 * cells, *output, scale=2.0),
        normal(group * 2) if rng.random() < 0.5 else None,
        normal(count, cells, *output) if rng.random() < 0.5 else None,
    )
    names = ("strides", "pads", "dilations")
    options = {
        name: value.tolist() for name, value in zip(names, (strides, pads, dilations), strict=True)
    }
    return inputs, {**options, "group": group, "offset_group": offset_group}


@pytest.mark.parametrize("seed", range(40))
def test_deform_conv_as_onnxruntime(seed):
    rng = np.random.default_rng(seed)
    inputs, options = deformable(rng, np.float64 if seed % 3 == 0 else np.float32)
    assert_as(of_onnxruntime, "DeformConv", inputs, opset=19, tolerance=1e-4, **options)


def test_deform_conv_without_shifts_is_a_convolution_in_three_dimensions():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 2, 3, 4, 5)), rng.normal(size=(3, 2, 2, 2, 1))
    (wanted,) = results("Conv", (x, w), opset=19, pads=[1, 0, 0, 0, 1, 0])
    offset = np.zeros((2, 2 * 2 * 1 * 3, *wanted.shape[2:]))
    (got,) = results("DeformConv", (x, w, offset), opset=19, pads=[1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("seed", range(6))
def test_linear_ones_take_no_lookup(seed):
    rng = np.random.default_rng(seed)
    inputs, options = deformable(rng, count=2)
    integers, error = quantized("DeformConv", inputs, encrypted=(0,), opset=22, **options)
    assert integers.report().lookups == 0
    assert error < 0.02
    x = images(rng)
    inputs = (x, regions(rng, 3, least=0.1), rng.integers(0, len(x), 3))
    options = {"output_height": 2, "output_width": 3, "sampling_ratio": seed % 3}
    integers, error = quantized("RoiAlign", inputs, encrypted=(0,), opset=16, **options)
    assert integers.report().lookups == 0
    assert error < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_maxima_in_integers(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 4, (2, 2, 4, 5)).astype(np.float32)
    x[0, 0, 0, :2] = -4, 3
    boxes = regions(rng, 3, least=0.5)
    rois = np.concatenate([rng.integers(0, 2, (3, 1)), boxes], 1).astype(np.float32)
    _, error = quantized(
        "MaxRoiPool", (x, rois), encrypted=(0,), n_bits=3, opset=11, pooled_shape=[2, 3]
    )
    assert error < 0.08
    _, error = quantized(
        "RoiAlign",
        (x, boxes, rng.integers(0, 2, 3)),
        encrypted=(0,),
        n_bits=6,
        opset=16,
        mode="max",
        output_height=2,
        output_width=2,
    )
    assert error < 0.05


def test_a_bin_of_k_elements_takes_k_less_one_lookups():
    x = np.arange(-4, 4, dtype=np.float32).reshape(1, 1, 2, 4)
    rois = np.float32([[0, 0, 0, 2, 1], [0, 5, 5, 6, 6]])
    integers, error = quantized(
        "MaxRoiPool", (x, rois), encrypted=(0,), n_bits=3, opset=11, pooled_shape=[1, 1]
    )
    assert integers.report().lookups == 5
    assert error < 0.08


def test_what_is_wrong_is_said():
    x, box, zero = np.zeros((1, 2, 4, 4), np.float32), np.zeros((1, 4), np.float32), np.array([0])
    roi = np.zeros((1, 5), np.float32)
    for match, inputs, options in (
        ("mode", (x, box, zero), {"mode": "mean"}),
        ("output_width", (x, box, zero), {"output_width": 0}),
        ("number of an image", (x, box, zero + 1), {}),
        ("batch_indices", (x, box, np.array([0, 0])), {}),
        ("shape of rois", (x, roi, zero), {}),
        ("shape of X", (x[0], box, zero), {}),
        ("coordinate_tr", (x, box, zero), {"coordinate_transformation_mode": "other"}),
        ("sampling_ratio", (x, box, zero), {"sampling_ratio": -1}),
    ):
        assert_refused(match, "RoiAlign", inputs, opset=16, **options)
    assert_refused("pooled_shape", "MaxRoiPool", (x, roi), opset=11, pooled_shape=[2])
    w, offset = np.zeros((2, 2, 2, 2), np.float32), np.zeros((1, 8, 3, 3), np.float32)
    for match, inputs, options in (
        ("group", (x, w, offset), {"group": 2}),
        ("offset_group", (x, w, offset), {"offset_group": 3}),
        ("shape of offset", (x, w, offset[..., :2]), {}),
        ("shape of mask", (x, w, offset, None, offset), {}),
        ("kernel_shape", (x, w, offset), {"kernel_shape": [3, 3]}),
    ):
        assert_refused(match, "DeformConv", inputs, opset=19, **options)


def test_encrypted_regions_are_refused():
    x, rois = np.zeros((1, 1, 2, 2), np.float32), np.float32([[0, 0, 0, 1, 1]])
    with pytest.raises(QuantizationError, match="regions of interest are encrypted"):
        quantized(
            "MaxRoiPool", (x, rois), encrypted=(0, 1), samples=1, opset=11, pooled_shape=[1, 1]
        )
