"""Convolutions and pools: against ONNX Runtime in float, and against float in integers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import Net

fhe = pytest.mark.fhe
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")


def random_windows(rng, size, kernel, *, dilated=True):
    """Attributes that place windows somehow, such that at least one of them fits."""
    rank = len(size)
    attributes = {"kernel_shape": kernel}
    if rng.random() < 0.7:
        attributes["strides"] = rng.integers(1, 4, rank).tolist()
    if dilated and rng.random() < 0.4:
        attributes["dilations"] = rng.integers(1, 3, rank).tolist()
    auto_pad = str(rng.choice(["", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad:
        attributes["auto_pad"] = auto_pad
    if auto_pad in ("", "NOTSET") and rng.random() < 0.7:
        # Less than the kernel on either side, so that no window holds padding alone.
        attributes["pads"] = [int(rng.integers(0, k)) for k in kernel] * 2
        attributes["pads"][0] = 0
    return attributes


def random_case(op_type, seed):
    """A one-node network in one to three dimensions, and the shape of its input."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    group = int(rng.choice([1, 1, 2, 3]))
    channels = group * int(rng.integers(1, 3))
    size = rng.integers(5, 8, rank).tolist()
    kernel = rng.integers(1, 4, rank).tolist()
    net = Net(["n", channels, *size], seed=seed, opset=19)
    attributes = random_windows(rng, size, kernel)
    if attributes.get("auto_pad", "").startswith("SAME"):
        # ONNX Runtime departs from the specification with dilations, or with strides that
        # leave elements out.
        attributes.pop("dilations", None)
        strides = attributes.get("strides", [1] * rank)
        attributes["strides"] = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    inputs = ["x"]
    if op_type == "Conv":
        maps = group * int(rng.integers(1, 3))
        weight = rng.normal(size=(maps, channels // group, *kernel))
        inputs.append(net.constant(weight / np.sqrt(weight[0].size)))
        if rng.random() < 0.5:
            inputs.append(net.constant(rng.normal(size=maps)))
        attributes["group"] = group
    else:
        if attributes.get("auto_pad") != "VALID" and rng.random() < 0.5:
            attributes["ceil_mode"] = 1
        if op_type == "AveragePool" and rng.random() < 0.5:
            attributes["count_include_pad"] = 1
    return net.model(net.add(op_type, *inputs, **attributes)), (channels, *size)


def images(shape, count=20, seed=1):
    return np.random.default_rng(seed).normal(size=(count, *shape)).clip(-3, 3).astype(np.float32)


def decibels(wanted, got):
    """Signal to quantization noise."""
    noise = np.square(got - wanted).mean()
    return 10 * np.log10(wanted.var() / max(noise, 1e-30))


def run_elsewhere(model, x):
    """What ONNX Runtime makes of a model."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})


@pytest.mark.parametrize("op_type", ["Conv", "AveragePool", "MaxPool"])
@pytest.mark.parametrize("seed", range(40))
def test_float_equals_onnxruntime(op_type, seed):
    model, shape = random_case(op_type, seed)
    x = images(shape, count=2)
    (wanted,) = run_elsewhere(model, x)
    got = cml.NumpyModule.from_onnx(model)(x)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_max_pool_says_where_the_largest_elements_were(storage_order, pads):
    settings = {"kernel_shape": [2, 3], "pads": pads, "storage_order": storage_order}
    node = helper.make_node("MaxPool", ["x"], ["y", "indices"], **settings)
    outputs = [("y", TensorProto.FLOAT), ("indices", TensorProto.INT64)]
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 5])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
    )
    imports = [helper.make_opsetid("", 12)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    # Few different values, so that the first of equal ones must be found.
    x = np.random.default_rng(0).integers(-2, 2, (2, 3, 4, 5)).astype(np.float32)
    got = cml.NumpyModule.from_onnx(model).run({"x": x})
    wanted_values, wanted_places = run_elsewhere(model, x)
    np.testing.assert_array_equal(got["y"], wanted_values)
    np.testing.assert_array_equal(got["indices"], wanted_places)


def quantize(model, calibration, n_bits=8, **options):
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, margin=0.2, **options)
    return module, cml.quantize(module, calibration, config)


@pytest.mark.parametrize("op_type", ["Conv", "AveragePool", "MaxPool"])
@pytest.mark.parametrize("seed", range(12))
def test_eight_bits_are_close_to_float(op_type, seed):
    model, shape = random_case(op_type, seed)
    module, quantized = quantize(model, images(shape, 50, seed=2), tail="server")
    x = images(shape).clip(-2.5, 2.5)
    assert decibels(module(x), quantized(x)) >= 25


@pytest.mark.parametrize("seed", range(12))
def test_transposed_convolution_is_close_to_float_and_takes_no_lookup(seed):
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    group = int(rng.integers(1, 3))
    net = Net(["n", 2 * group, *[4] * rank], seed=seed)
    weight = net.constant(rng.normal(size=(2 * group, 2, *rng.integers(1, 4, rank))))
    bias = net.constant(rng.normal(size=2 * group))
    settings = {
        "strides": rng.integers(1, 4, rank).tolist(),
        "dilations": rng.integers(1, 4, rank).tolist(),
        "pads": rng.integers(0, 2, 2 * rank).tolist(),
    }
    model = net.model(net.add("ConvTranspose", "x", weight, bias, group=group, **settings))
    shape = (2 * group, *[4] * rank)
    module, quantized = quantize(model, images(shape, 50, seed=2))
    x = images(shape).clip(-2.5, 2.5)
    assert decibels(module(x), quantized(x)) >= 25
    assert quantized.report().lookups == 0
    (wanted,) = run_elsewhere(model, x)
    np.testing.assert_allclose(module(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("level", [2.0, -5.0])
def test_padding_is_exact_where_zero_is_far_from_the_input(level, group):
    """A padded zero is zero, not the zero point: borders are no worse than the interior."""
    net = Net(["n", 2, 6, 7])
    weight = net.constant(net.rng.normal(size=(4, 2 // group, 3, 3)))
    model = net.model(net.add("Conv", "x", weight, pads=[1, 2, 2, 1], group=group))
    uniform = np.random.default_rng(1).uniform(level, level + 1, (100, 2, 6, 7))
    x = uniform.astype(np.float32)
    module, quantized = quantize(model, x)
    error = np.square(quantized(x) - module(x))
    interior = np.zeros(error.shape[2:], dtype=bool)
    interior[1:-2, 2:-1] = True
    assert error[..., ~interior].mean() <= error[..., interior].mean()
    assert decibels(module(x), quantized(x)) >= 25


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("op_type", ["AveragePool", "GlobalAveragePool", "BatchNormalization"])
def test_what_follows_a_convolution_linearly_takes_no_lookup(op_type, pad):
    net = Net(["n", 2, 5, 5])
    x = net.add("Conv", "x", net.normal(3, 2, 3, 3), pads=[pad] * 4)
    if op_type == "AveragePool":
        y = net.add(op_type, x, kernel_shape=[2, 2], pads=[pad] * 4, count_include_pad=1)
    elif op_type == "BatchNormalization":
        y = net.batch_norm(x, 3)
    else:
        y = net.add(op_type, x)
    calibration = images((2, 5, 5), 50)
    _, quantized = quantize(net.model(net.add("Conv", y, net.normal(2, 3, 1, 1))), calibration)
    assert quantized.report().lookups == 0


def integer_images(shape, count=60):
    """Integers from -8 to 7, which a 4-bit input holds exactly."""
    values = np.random.default_rng(3).integers(-8, 8, (count, *shape)).astype(np.float32)
    values.flat[:2] = -8, 7
    return values


@pytest.mark.parametrize("activation", ["", "Relu", "Sigmoid"])
@pytest.mark.parametrize(
    ("settings", "outputs", "lookups"),
    [
        ({"kernel_shape": [2, 2], "strides": [2, 2]}, 6, 18),
        # Along the columns 2 lookups for each of 5 * 3, along the rows 1 for each of 2 * 3.
        ({"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 0, 1]}, 6, None),
        ({"kernel_shape": [1, 1]}, 25, 0),
        ({"kernel_shape": [2, 2], "dilations": [3, 2], "pads": [1, 1, 1, 1]}, None, None),
    ],
)
def test_the_maximum_of_narrow_integers_is_exact(settings, outputs, lookups, activation):
    shape = (1, 5, 6) if outputs == 6 else (1, 5, 5)
    net = Net(["n", *shape])
    x = net.add(activation, "x") if activation else "x"
    data = integer_images(shape)
    module, quantized = quantize(net.model(net.add("MaxPool", x, **settings)), data, n_bits=4)
    np.testing.assert_allclose(quantized(data), module(data), atol=1e-6)
    if lookups is not None:
        assert quantized.report().lookups == lookups


@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin", "GlobalMaxPool"])
def test_the_extreme_of_many_narrow_integers_is_exact(op_type):
    net = Net(["n", 2, 3, 3])
    axes = {} if op_type == "GlobalMaxPool" else {"axes": [-1, 2]}
    data = integer_images((2, 3, 3))
    module, quantized = quantize(net.model(net.add(op_type, "x", **axes)), data, n_bits=4)
    np.testing.assert_array_equal(quantized(data), module(data))
    assert quantized.report().lookups == 2 * (9 - 1)


@fhe
@compiled
@pytest.mark.parametrize(
    ("size", "kernel", "settings"),
    [
        ([5], [3], {}),
        ([5], [2], {"pads": [2, 1], "strides": [2]}),
        ([4, 4], [2, 2], {"group": 2}),
        ([4, 4], [3, 2], {"group": 2, "pads": [1, 0, 2, 1], "dilations": [1, 2]}),
        ([3, 3, 3], [2, 2, 2], {}),
        ([2, 3, 3], [2, 2, 1], {"pads": [1, 0, 1, 1, 0, 0], "strides": [2, 1, 2], "group": 2}),
    ],
)
def test_simulated_convolution_equals_the_clear_integers(size, kernel, settings):
    group = settings.get("group", 1)
    net = Net(["n", 2, *size])
    weight, bias = net.normal(4, 2 // group, *kernel), net.normal(4)
    y = net.add("Relu", net.add("Conv", "x", weight, bias, **settings))
    x = images((2, *size), 30)
    _, quantized = quantize(net.model(y), x, n_bits=3, tail="server")
    assert quantized.report().lookups > 0
    np.testing.assert_array_equal(quantized.compile().simulate(x[:3]), quantized(x[:3]))


@fhe
@compiled
@pytest.mark.parametrize("op_type", ["ConvTranspose", "AveragePool", "MaxPool"])
@pytest.mark.parametrize("rank", [1, 2])
def test_simulated_pools_and_transposes_equal_the_clear_integers(op_type, rank):
    net = Net(["n", 2, *[4] * rank])
    settings = {"strides": [2] * rank, "pads": [1] * rank + [0] * rank}
    inputs = ["x"]
    if op_type == "ConvTranspose":
        inputs.append(net.normal(2, 2, *[3] * rank))
    else:
        settings["kernel_shape"] = [3] * rank
    y = net.add("Relu", net.add(op_type, *inputs, **settings))
    x = images((2, *[4] * rank), 30)
    _, quantized = quantize(net.model(y), x, n_bits=3, tail="server")
    assert quantized.report().lookups > 0
    np.testing.assert_array_equal(quantized.compile().simulate(x[:3]), quantized(x[:3]))
