"""Resize and cumulative sums: against ONNX's reference in float, without a lookup in integers."""

import numpy as np
import onnx.reference
import pytest
from onnx import helper, numpy_helper

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import Net
from tests.one_node import of_onnxruntime, results

compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")

TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


def resize_model(x, *, roi=None, scales=None, sizes=None, opset=19, op_type="Resize", **attributes):
    """A model of one node; what is not the image is constant."""
    given = {"roi": roi, "scales": scales, "sizes": sizes}
    constants = {k: np.asarray(v) for k, v in given.items() if v is not None}
    names = ["x", *(name if name in constants else "" for name in given)]
    if opset < 11:
        names = ["x", "scales"]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["y"], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(x.dtype), None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def image(*shape, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * 10).astype(dtype)


def check(x, **settings):
    model = resize_model(x, **settings)
    (wanted,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    got = cml.NumpyModule.from_onnx(model)(x)
    assert got.dtype == x.dtype
    assert got.shape == wanted.shape
    tolerance = 2e-2 if x.dtype == np.float16 else 1e-4
    np.testing.assert_allclose(
        got.astype(np.float64), wanted.astype(np.float64), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("factor", [0.4, 0.6, 1.3, 2.0, 3.5])
def test_scales_as_the_reference(transformation, mode, factor):
    x = image(1, 2, 5, 4)
    settings = {"mode": mode, "coordinate_transformation_mode": transformation}
    roi = np.float32([0, 0, 0.3, -0.2, 1, 1, 0.9, 1.1])
    if transformation == "tf_crop_and_resize":
        settings |= {"roi": roi, "extrapolation_value": 7.5}
    elif transformation == "pytorch_half_pixel" and factor == 0.4 and mode == "cubic":
        pytest.skip("for a length of 1.6 made 1, the reference has the coordinate of another case")
    check(x, scales=np.float32([1, 1, factor, factor]), **settings)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("exclude_outside", [0, 1])
@pytest.mark.parametrize("size", [(2, 3), (3, 7), (10, 1)])
def test_filters_as_the_reference(mode, antialias, exclude_outside, size):
    check(
        image(1, 1, 7, 6),
        sizes=np.array([1, 1, *size]),
        mode=mode,
        antialias=antialias,
        exclude_outside=exclude_outside,
        cubic_coeff_a=-0.5,
    )


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("transformation", TRANSFORMATIONS[:-1])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
def test_nearest_modes_as_the_reference(rounding, transformation, size):
    x = image(4, 2)
    check(
        x,
        sizes=np.array([size, 2]),
        nearest_mode=rounding,
        coordinate_transformation_mode=transformation,
    )


def test_a_tie_is_one_although_its_coordinate_is_a_quotient():
    x = np.arange(20, dtype=np.float32)
    settings = {"sizes": np.array([6]), "nearest_mode": "round_prefer_ceil"}
    assert cml.NumpyModule.from_onnx(resize_model(x, **settings))(x)[4] == 15


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("axes", [[2, 1], [1, 2]])
def test_aspect_ratios_and_axes_as_the_reference(policy, axes):
    x = image(2, 4, 3)
    settings = {"axes": axes, "keep_aspect_ratio_policy": policy, "mode": "linear"}
    check(x, sizes=np.array([5, 7]), **settings)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
@pytest.mark.parametrize("shape", [(5,), (2, 5), (1, 1, 2, 3, 2)])
def test_dtypes_and_ranks(dtype, shape):
    x = np.abs(image(*shape)).astype(dtype)
    scales = np.float32([1] * (len(shape) - 1) + [1.7])
    check(x, scales=scales, mode="linear")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("shape", "size"), [((0, 3), (0, 6)), ((2, 3), (0, 6)), ((2, 3), (2, 0))])
def test_nothing_may_come_in_or_out(mode, shape, size):
    x = np.zeros(shape, dtype=np.float32)
    model = resize_model(x, sizes=np.array(size), mode=mode, antialias=int(mode == "linear"))
    assert cml.NumpyModule.from_onnx(model)(x).shape == size


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"scales": np.float32([1, 2, 2])}, "scales"),
        ({"scales": np.float32([1, -2])}, "scales"),
        ({}, "scales"),
        ({"scales": np.float32([1, 2]), "mode": "area"}, "mode"),
        ({"scales": np.float32([2]), "axes": [3]}, "axes"),
        (
            {
                "scales": np.float32([1, 2]),
                "coordinate_transformation_mode": "tf_crop_and_resize",
            },
            "roi",
        ),
    ],
)
def test_what_makes_no_sense_is_named(settings, named):
    x = image(2, 3)
    with pytest.raises(cml.CmlError, match=named):
        cml.NumpyModule.from_onnx(resize_model(x, **settings))(x)


@pytest.mark.parametrize("op_type", ["Resize", "Upsample"])
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("nearest", [1, 1, 2, 3, 3, 4]),
        ("linear", [1, 5 / 3, 7 / 3, 3, 11 / 3, 4]),
    ],
)
def test_early_revisions_read_at_i_over_scale(op_type, mode, wanted):
    x = np.arange(1, 5, dtype=np.float32)
    opset = 10 if op_type == "Resize" else 9
    settings = {"scales": np.float32([1.5]), "mode": mode, "opset": opset, "op_type": op_type}
    got = cml.NumpyModule.from_onnx(resize_model(x, **settings))(x)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def quantized_resize(n_bits, **settings):
    x = image(64, 1, 4, 3)
    x[0, ..., :2], x[1, ..., 1:] = x.min(), x.max()
    net = Net(["n", 1, 4, 3], opset=19)
    scales = net.constant(np.float32([1, 1, 2, 1.5]))
    model = net.model(net.add("Resize", "x", "", scales, **settings))
    module = cml.NumpyModule.from_onnx(model)
    return module, cml.quantize(module, x, n_bits=n_bits), x


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("transformation", ["half_pixel", "asymmetric"])
def test_exact_weights_leave_only_the_error_of_the_input(mode, transformation):
    settings = {"mode": mode, "coordinate_transformation_mode": transformation}
    module, quantized, x = quantized_resize(5, **settings)
    assert quantized.report().lookups == 0
    step = np.ptp(x) / 31
    assert np.abs(quantized(x) - module(x)).max() <= 0.51 * step


@pytest.mark.parametrize(("n_bits", "share"), [(4, 0.12), (6, 0.03), (8, 0.008)])
def test_cubic_weights_are_rounded_with_their_sum_kept(n_bits, share):
    module, quantized, x = quantized_resize(n_bits, mode="cubic")
    assert quantized.report().lookups == 0
    assert np.abs(quantized(x) - module(x)).max() < share * np.ptp(x)
    flat = np.full_like(x, x.max())
    assert np.ptp(quantized(flat)) < 1e-6 * np.ptp(x)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsampling_between_convolutions_takes_no_lookup_of_its_own(mode):
    def lookups(resizes):
        net = Net(["n", 1, 4, 4], opset=19)
        x = net.add("Relu", net.add("Conv", "x", net.normal(2, 1, 3, 3)))
        if resizes:
            scales = net.constant(np.float32([1, 1, 2, 2]))
            x = net.add("Resize", x, "", scales, mode=mode)
        model = net.model(net.add("Conv", x, net.normal(2, 2, 2, 2)))
        x = image(100, 1, 4, 4)
        module = cml.NumpyModule.from_onnx(model)
        quantized = cml.quantize(module, x, n_bits=6)
        wanted = module(x)
        noise = np.square(quantized(x) - wanted).mean()
        assert 10 * np.log10(wanted.var() / noise) > 20
        return quantized.report().lookups

    assert lookups(True) == lookups(False) == 2 * 2 * 2


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
def test_cumulative_sums_of_a_layer_take_no_lookup(reverse, exclusive):
    net = Net(["n", 6])
    scores = net.dense("x", 6, 4)
    axis = net.constant(np.array(1))
    sums = net.add("CumSum", scores, axis, reverse=reverse, exclusive=exclusive)
    module = cml.NumpyModule.from_onnx(net.model(net.dense(sums, 4, 3)))
    x = image(200, 6)
    quantized = cml.quantize(module, x, n_bits=6)
    wanted = module(x)
    noise = np.square(quantized(x) - wanted).mean()
    # Columns of the layer have scales of their own, which a sum cannot have.
    assert quantized.report().lookups == 4
    assert 10 * np.log10(wanted.var() / noise) > 20


@compiled
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resizing_simulates_as_it_computes(mode):
    _, quantized, x = quantized_resize(4, mode=mode)
    np.testing.assert_array_equal(quantized.compile().simulate(x[:2]), quantized(x[:2]))


@pytest.mark.parametrize(("size", "scale", "wanted"), [(5, 1.8, 9), (10, 0.7, 7), (3, 2.5, 7)])
def test_sizes_follow_from_scales_in_float32(size, scale, wanted):
    """PyTorch and ONNX Runtime multiply so; in float64, 5 x float32's 1.8 is less than 9."""
    x = np.arange(size, dtype=np.float32).reshape(1, 1, size)
    (y,) = results("Resize", (x, None, np.float32([1, 1, scale])), opset=18, mode="linear")
    assert y.shape == (1, 1, wanted)
    (other,) = of_onnxruntime(
        "Resize", (x, None, np.float32([1, 1, scale])), opset=18, mode="linear"
    )
    assert other.shape == y.shape
