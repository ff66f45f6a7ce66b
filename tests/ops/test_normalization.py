"""Normalizations whose statistics are encrypted, and pools of p-norms."""

import warnings

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import AttributeValueError, NodeError, QuantizationError
from cml_core.fhe.backend import installed_backends
from cml_ops_builtin.global_lp_pool import global_lp_pool
from cml_ops_builtin.layer_normalization import layer_normalization
from cml_ops_builtin.lp_normalization import lp_normalization
from cml_ops_builtin.lrn import lrn
from cml_ops_builtin.rms_normalization import rms_normalization
from tests.networks import Net, samples

WIDTH = 8
IMAGE = (2, 3, 3)
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")


def decibels(wanted, got):
    return 10 * np.log10(wanted.var() / np.square(got - wanted).mean())


def quantize(model, shape, n_bits, **options):
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, tail="server", **options)
    return module, cml.quantize(module, samples(shape, 300), config)


def accuracy(model, shape, n_bits, **options):
    module, quantized = quantize(model, shape, n_bits, **options)
    unseen = samples(shape, 150, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decibels(module(unseen), quantized(unseen)), quantized.report()


def dense(op, *, before="", layer=True, width=WIDTH, **attributes):
    """A dense layer, a normalization of its features, another layer."""
    net = Net(["batch", 5], seed=3, opset=23)
    x = net.dense("x", 5, width)
    if before:
        x = net.add(before, x)
    scale = net.constant(net.rng.uniform(0.5, 1.5, width))
    parameters = [scale, net.constant(net.rng.normal(0, 0.3, width))]
    count = {"LayerNormalization": 2, "RMSNormalization": 1}.get(op, 0)
    x = net.add(op, x, *parameters[:count], **attributes)
    return net.model(net.add("Gemm", x, net.normal(width, 3)) if layer else x)


def images(op, *, opset=22, **attributes):
    """A convolution, a normalization or pool of its channels, a dense layer."""
    net = Net(["batch", *IMAGE], seed=3, opset=opset)
    x = net.add("Conv", "x", net.normal(4, IMAGE[0], 2, 2))
    if op in ("InstanceNormalization", "GroupNormalization"):
        scale = net.constant(net.rng.uniform(0.5, 1.5, 4))
        parameters = [scale, net.constant(net.rng.normal(0, 0.3, 4))]
    else:
        parameters = []
    x = net.add("Flatten", net.add(op, x, *parameters, **attributes))
    size = {"LpPool": 4, "GlobalLpPool": 4}.get(op, 16)
    return net.model(net.add("Gemm", x, net.normal(size, 3)))


@pytest.mark.parametrize(
    ("model", "shape", "least"),
    [
        (dense("LayerNormalization"), (5,), 19),
        (dense("LayerNormalization", before="Relu"), (5,), 18),
        (dense("RMSNormalization"), (5,), 19),
        (dense("RMSNormalization", before="Sigmoid"), (5,), 17),
        (dense("LpNormalization"), (5,), 19),
        (dense("LpNormalization", p=1), (5,), 19),
        (images("InstanceNormalization"), IMAGE, 16),
        (images("GroupNormalization", num_groups=2), IMAGE, 17),
        (images("MeanVarianceNormalization", axes=[1, 2, 3]), IMAGE, 18),
        (images("LRN", size=3, alpha=1.0), IMAGE, 20),
        (images("LpPool", kernel_shape=[2, 2], p=1), IMAGE, 22),
        (images("LpPool", kernel_shape=[2, 2], p=3, opset=17), IMAGE, 22),
        (images("GlobalLpPool"), IMAGE, 22),
    ],
    ids=lambda value: value.graph.node[-2].op_type if hasattr(value, "graph") else "",
)
def test_accuracy_between_two_layers(model, shape, least):
    signal_to_noise, _ = accuracy(model, shape, 6)
    assert signal_to_noise > least


def test_dense_layers_with_both_normalization_and_softmax():
    net = Net(["batch", 5], seed=3)
    scale, bias = (net.constant(net.rng.uniform(0.5, 1.5, WIDTH)) for _ in range(2))
    x = net.add("LayerNormalization", net.dense("x", 5, WIDTH), scale, bias)
    x = net.add("Softmax", net.dense(x, WIDTH, 6))
    model = net.model(net.dense(x, 6, 3))
    four, five, six = (accuracy(model, (5,), n_bits)[0] for n_bits in (4, 5, 6))
    assert 8 < four < five < six


@pytest.mark.parametrize(
    "options", [{"rounding_bits": 16}, {"ranges": "proven"}, {"rounding": "approximate"}]
)
def test_other_settings(options):
    signal_to_noise, _ = accuracy(dense("LayerNormalization"), (5,), 4, **options)
    assert signal_to_noise > 6


def test_a_divisor_that_hardly_varies_costs_nothing():
    _, report = accuracy(images("LRN", size=3, alpha=1e-4), IMAGE, 4)
    # The dense layer takes a convolution's result as it is.
    assert report.lookups == 0


def test_mean_and_deviation_are_outputs():
    net = Net(["batch", WIDTH], opset=17)
    scale = net.constant(np.ones(WIDTH))
    net.add("LayerNormalization", "x", scale)
    net.nodes[0].output.extend(["mean", "inverse"])
    module, quantized = quantize(net.model(net.nodes[0].output[0], "mean", "inverse"), (WIDTH,), 6)
    unseen = samples((WIDTH,), 50, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = list(zip(module(unseen), quantized(unseen), strict=True))
    assert [got.shape for _, got in pairs] == [(50, WIDTH), (50, 1), (50, 1)]
    assert all(decibels(wanted, got) > 15 for wanted, got in pairs)


def test_normalization_at_the_end_stays_with_the_client():
    module = cml.NumpyModule.from_onnx(dense("LayerNormalization", layer=False))
    quantized = cml.quantize(module, samples((5,), 50), n_bits=4)
    assert quantized.report().lookups == 0


@pytest.mark.parametrize("place", [1, 2])
def test_encrypted_scale_and_bias_are_refused(place):
    net = Net(["batch", WIDTH], opset=17)
    ones = net.constant(np.ones(WIDTH))
    parameters = [ones, ones]
    parameters[place - 1] = "x"
    model = net.model(net.add("LayerNormalization", net.add("Exp", "x"), *parameters))
    with pytest.raises(QuantizationError, match="encrypted"):
        quantize(model, (WIDTH,), 4)


@pytest.mark.parametrize("places", [(1,), (4,), (1, 2, 3, 4)])
def test_batch_normalization_with_encrypted_parameters(places):
    # All the parameters are sums of the input or constants, so one sample is the whole batch.
    net = Net([1, 3, 4], opset=15)
    sums = net.add("ReduceMean", net.add("Abs", "x"), axes=[0, 2], keepdims=0)
    constants = [np.float32([v, 0.5, 1]) for v in (1, 0.5, 0.2, 1.5)]
    inputs = [sums if k in places else net.constant(c) for k, c in enumerate(constants, 1)]
    model = net.model(net.add("BatchNormalization", "x", *inputs))
    module = cml.NumpyModule.from_onnx(model)
    data = samples((3, 4), 100)
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(6, tail="server"))
    got, wanted = (
        np.concatenate([run(sample[np.newaxis]) for sample in data]) for run in (quantized, module)
    )
    assert decibels(wanted, got) > 15


def test_rows_without_any_variance():
    net = Net(["batch", 4], opset=17)
    y = net.add("LayerNormalization", "x", net.constant(np.ones(4)), axis=-1)
    module = cml.NumpyModule.from_onnx(net.model(y))
    data = samples((4,), 100)
    data[::2] = data[::2, :1]
    config = cml.QuantConfig.with_bits(6, tail="server", margin=0.0)
    quantized = cml.quantize(module, data, config)
    wanted, got = module(data), quantized(data)
    assert decibels(wanted[1::2], got[1::2]) > 15
    assert np.isfinite(got).all()


def test_data_that_is_all_zero():
    net = Net(["batch", 4])
    module = cml.NumpyModule.from_onnx(net.model(net.add("LpNormalization", "x")))
    zero = np.zeros((3, 4), dtype=np.float32)
    config = cml.QuantConfig.with_bits(4, tail="server")
    np.testing.assert_array_equal(cml.quantize(module, zero, config)(zero), zero)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_references_keep_their_type(dtype):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [300.0, -400.0]], dtype=dtype)
    ones = np.ones(2, dtype=dtype)
    kept = x.copy()
    options = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}
    y, mean, inverse = layer_normalization(x, ones, **options)
    assert (y.dtype, mean.dtype, inverse.dtype) == (dtype, np.float32, np.float32)
    assert rms_normalization(x, ones, **options)[0].dtype == dtype
    (norm,) = lp_normalization(x, axis=-1, p=2)
    assert norm.dtype == dtype
    np.testing.assert_allclose(norm, [[0.6, 0.8], [0, 0], [0.6, -0.8]], rtol=2e-3)
    images = x.reshape(1, 3, 2)
    assert lrn(images, size=2, alpha=1.0, beta=0.5, bias=1.0)[0].dtype == dtype
    pooled = global_lp_pool(images, p=2)[0]
    assert pooled.dtype == dtype
    np.testing.assert_allclose(pooled.reshape(-1), [5, 0, 500], rtol=2e-3)
    np.testing.assert_array_equal(x, kept)


def test_empty_batches():
    x = np.zeros((0, 3, 2), dtype=np.float32)
    assert layer_normalization(x, np.ones(2), axis=-1, epsilon=0.1, stash_type=1)[0].shape == (
        0,
        3,
        2,
    )
    assert lp_normalization(x, axis=1, p=1)[0].shape == x.shape
    assert lrn(x, size=3, alpha=1.0, beta=0.5, bias=1.0)[0].shape == x.shape
    assert global_lp_pool(x, p=2)[0].shape == (0, 3, 1)


@pytest.mark.parametrize(
    ("op", "attributes", "name"),
    [
        ("LpNormalization", {"p": 3}, "p"),
        ("LpNormalization", {"axis": 4}, "axis"),
        ("LRN", {"size": 0}, "size"),
        ("GlobalLpPool", {"p": 0}, "p"),
        ("LpPool", {"kernel_shape": [2, 2], "p": -1}, "p"),
    ],
)
def test_bad_attributes_are_refused_by_name(op, attributes, name):
    net = Net(["batch", *IMAGE], opset=21)
    with pytest.raises((AttributeValueError, NodeError), match=name):
        cml.NumpyModule.from_onnx(net.model(net.add(op, "x", **attributes)))(samples(IMAGE, 1))


def test_a_divisor_that_may_be_zero_is_refused():
    with pytest.raises(QuantizationError, match="divisor"):
        quantize(images("LRN", size=3, bias=0.0), IMAGE, 4)


@compiled
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (dense("LayerNormalization", width=4), (5,)),
        (dense("RMSNormalization", width=4), (5,)),
        (images("LRN", size=3, alpha=1.0), IMAGE),
        (images("GlobalLpPool"), IMAGE),
    ],
    ids=["layer", "rms", "lrn", "pool"],
)
def test_simulation_gives_the_clear_integers(model, shape):
    _, quantized = quantize(model, shape, 3)
    data = samples(shape, 4, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(quantized.compile().simulate(data), quantized(data))


@pytest.mark.parametrize("op", ["LayerNormalization", "MeanVarianceNormalization"])
@pytest.mark.parametrize("levels", [2, 3, 9])
def test_whole_numbers_of_a_few_levels(op, levels):
    net = Net(["batch", 12], seed=3)
    x = net.add("Round", "x")
    if op == "LayerNormalization":
        x = net.add(op, x, net.constant(np.ones(12)), net.constant(np.zeros(12)))
    else:
        x = net.add(op, x, axes=[1])
    module = cml.NumpyModule.from_onnx(net.model(net.dense(x, 12, 3)))
    data = np.random.default_rng(0).integers(0, levels, (300, 12)).astype(np.float32)
    quantized = cml.quantize(module, data, n_bits=8)
    wanted = module(data)
    assert wanted.var() / np.square(quantized(data) - wanted).mean() > 1000
