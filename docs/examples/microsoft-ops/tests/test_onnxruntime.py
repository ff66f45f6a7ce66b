"""Float references agree with onnxruntime, on random shapes and attributes."""

# ruff: noqa: D103

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(params=range(3))
def rng(request):
    """A generator of its own for each seed."""
    return np.random.default_rng(request.param)


def normal(rng, *shape, dtype=np.float32):
    """Return numbers of a normal distribution."""
    return rng.normal(size=shape).astype(dtype)


def sizes(rng, count, low=1, high=5):
    """Return some sizes."""
    return [int(n) for n in rng.integers(low, high, size=count)]


CONV_ACTIVATIONS = [
    ("Relu", ()),
    ("Sigmoid", ()),
    ("Tanh", ()),
    ("HardSwish", ()),
    ("LeakyRelu", (0.3,)),
    ("Clip", (-0.5, 1.5)),
    ("HardSigmoid", (0.3, 0.4)),
]


@pytest.mark.parametrize(("activation", "parameters"), CONV_ACTIVATIONS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fused_conv(rng, agree, activation, parameters, rank):
    group = int(rng.integers(1, 3))
    depth, maps = sizes(rng, 2, high=3)
    kernel, strides, dilations = (sizes(rng, rank, high=4) for _ in range(3))
    spatial = [
        (k - 1) * d + 1 + n for k, d, n in zip(kernel, dilations, sizes(rng, rank), strict=True)
    ]
    attributes = {"group": group, "strides": strides, "dilations": dilations}
    attributes |= {"activation": activation, "kernel_shape": kernel}
    if parameters:
        attributes["activation_params"] = parameters
    if rng.integers(2):
        attributes["pads"] = sizes(rng, 2 * rank, low=0, high=3)
    x = normal(rng, 2, group * depth, *spatial)
    w = normal(rng, group * maps, depth, *kernel)
    b = normal(rng, group * maps) if rng.integers(2) else None
    (y,) = agree("FusedConv", x, w, b, **attributes)
    agree("FusedConv", x, w, b, normal(rng, *y.shape), **attributes)


@pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
def test_fused_conv_that_pads_by_itself(rng, agree, auto_pad):
    kernel, strides = sizes(rng, 2, low=2), sizes(rng, 2, high=4)
    x, w = normal(rng, 1, 2, *sizes(rng, 2, low=5, high=9)), normal(rng, 3, 2, *kernel)
    agree("FusedConv", x, w, activation="Relu", auto_pad=auto_pad, strides=strides)


GEMM_ACTIVATIONS = [
    ("Celu", {"alpha": 0.7}),
    ("Elu", {"alpha": 0.7}),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("LeakyRelu", {"alpha": 0.3}),
    ("Relu", {}),
    ("Selu", {"alpha": 1.2, "gamma": 0.8}),
    ("Sigmoid", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Tanh", {}),
    ("ThresholdedRelu", {"alpha": 0.5}),
]


@pytest.mark.parametrize(("activation", "parameters"), GEMM_ACTIVATIONS)
def test_fused_gemm(rng, agree, activation, parameters):
    rows, inner, columns = sizes(rng, 3)
    turned = {name: int(rng.integers(2)) for name in ("transA", "transB")}
    a, b = normal(rng, rows, inner), normal(rng, inner, columns)
    c = [None, normal(rng, columns), normal(rng, rows, 1), normal(rng, 1)][rng.integers(4)]
    attributes = {f"activation_{name}": value for name, value in parameters.items()}
    attributes |= {"activation": activation, "alpha": 0.75, "beta": -1.5, **turned}
    a, b = (a.T if turned["transA"] else a), (b.T if turned["transB"] else b)
    agree("FusedGemm", a, b, c, **attributes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_fused_matmul(rng, agree, rank, dtype):
    *batch, rows, inner, columns = sizes(rng, rank + 1)
    a, b = (
        normal(rng, *batch, rows, inner, dtype=dtype),
        normal(rng, *batch, inner, columns, dtype=dtype),
    )
    attributes = {"alpha": 0.25}
    for name in ("A", "B"):
        factor = a if name == "A" else b
        if rng.integers(2):
            attributes[f"trans{name}"] = 1
            factor = factor.swapaxes(-1, -2)
        if rank > 2 and rng.integers(2):
            attributes[f"transBatch{name}"] = 1
            factor = np.moveaxis(factor, -2, 0)
        a, b = (factor, b) if name == "A" else (a, factor)
    agree("FusedMatMul", np.ascontiguousarray(a), np.ascontiguousarray(b), **attributes)


def test_fused_matmul_of_a_vector(rng, agree):
    rows, inner = sizes(rng, 2)
    agree("FusedMatMul", normal(rng, rows, inner), normal(rng, inner), alpha=2.0)


@pytest.mark.parametrize("op_type", ["Gelu", "QuickGelu", "FastGelu"])
def test_gelus(rng, agree, op_type):
    agree(op_type, 3 * normal(rng, *sizes(rng, 3)))


def test_quick_gelu_with_another_alpha(rng, agree):
    agree("QuickGelu", 3 * normal(rng, *sizes(rng, 2)), alpha=0.5)


@pytest.mark.parametrize("op_type", ["BiasGelu", "FastGelu"])
def test_gelus_with_a_bias(rng, agree, op_type):
    x = normal(rng, *sizes(rng, 3))
    agree(op_type, x, normal(rng, x.shape[-1]))


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_trilu(rng, agree, upper, dtype):
    x = (10 * normal(rng, *sizes(rng, 3))).astype(dtype)
    agree("Trilu", x, np.array(rng.integers(-2, 3)), upper=upper)
    agree("Trilu", x, upper=upper)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cdist(rng, agree, metric, dtype):
    rows, others, inner = sizes(rng, 3)
    a, b = normal(rng, rows, inner, dtype=dtype), normal(rng, others, inner, dtype=dtype)
    agree("CDist", a, b, metric=metric)


@pytest.mark.parametrize("op_type", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_skip_normalizations(rng, agree, op_type):
    count, length, size = sizes(rng, 3, low=2)
    x, gamma = normal(rng, count, length, size), normal(rng, size)
    skip = normal(rng, *[(count, length, size), (1, length, size), (length, size)][rng.integers(3)])
    bias = normal(rng, size) if rng.integers(2) else None
    beta = (normal(rng, size),) if op_type == "SkipLayerNormalization" else ()
    agree(
        op_type, x, skip, gamma, *beta, bias, outputs=("y", "", "", "sum"), epsilon=1e-3, atol=1e-5
    )


def test_embed_layer_normalization(rng, agree):
    count, length, size = sizes(rng, 3, low=2)
    ids = rng.integers(0, 7, size=(count, length)).astype(np.int32)
    segments, kinds, mask, places = None, None, None, None
    if rng.integers(2):
        segments, kinds = rng.integers(0, 2, size=ids.shape).astype(np.int32), normal(rng, 2, size)
    if rng.integers(2):
        mask = rng.integers(0, 2, size=ids.shape).astype(np.int32)
    if rng.integers(2):
        places = rng.integers(0, 9, size=(count, length)).astype(np.int32)
    weights = (
        normal(rng, 7, size),
        normal(rng, 9, size),
        kinds,
        normal(rng, size),
        normal(rng, size),
    )
    outputs = ("y", "mask_index", "sum")
    agree(
        "EmbedLayerNormalization", ids, segments, *weights, mask, places, outputs=outputs, atol=1e-5
    )


@pytest.mark.parametrize(
    ("bits", "zeros"),
    [(2, None), (2, "packed"), (4, None), (4, "packed"), (4, "float"), (8, None), (8, "packed")],
)
def test_matmul_n_bits(rng, agree, bits, zeros):
    rows, columns = sizes(rng, 2)
    inner, block = int(rng.integers(5, 70)), int(rng.choice([16, 32]))
    blocks = -(-inner // block)
    b = rng.integers(0, 256, size=(columns, blocks, block * bits // 8)).astype(np.uint8)
    scales = normal(rng, columns, blocks) / 2**bits
    points = None
    if zeros == "packed":
        points = rng.integers(0, 256, size=(columns, -(-blocks * bits // 8))).astype(np.uint8)
    elif zeros == "float":
        points = normal(rng, columns, blocks)
    a, bias = normal(rng, 2, rows, inner), normal(rng, columns)
    attributes = {"K": inner, "N": columns, "bits": bits, "block_size": block}
    agree("MatMulNBits", a, b, scales, points, **attributes, atol=1e-5)
    agree("MatMulNBits", a, b, scales, points, None, bias, **attributes, atol=1e-5)


@pytest.mark.parametrize("masked", ["no", "ends", "ends and starts", "keys", "queries"])
def test_attention(rng, agree, masked):
    count, heads, length, size, head = sizes(rng, 5, low=2, high=4)
    x, w = normal(rng, count, length, size), normal(rng, size, 3 * heads * head)
    ends, starts = rng.integers(1, length + 1, size=count), np.zeros(count)
    mask = {
        "no": None,
        "ends": ends,
        "ends and starts": np.concatenate([ends, starts]),
        "keys": np.arange(length) < ends[:, None],
        "queries": np.tri(length) * np.ones((count, 1, 1)),
    }[masked]
    mask = None if mask is None else mask.astype(np.int32)
    bias = normal(rng, 1, heads, length, length) if rng.integers(2) else None
    attributes = {"num_heads": heads, "unidirectional": int(rng.integers(2))}
    if rng.integers(2):
        attributes["scale"] = 0.7
    weights = x, w, normal(rng, 3 * heads * head)
    agree("Attention", *weights, mask, None, bias, **attributes, atol=1e-5)
    agree("Attention", *weights, outputs=("y", "present"), num_heads=heads, atol=1e-5)


def test_attention_with_values_of_another_size(rng, agree):
    x, w, b = normal(rng, 2, 3, 5), normal(rng, 5, 4 + 4 + 6), normal(rng, 4 + 4 + 6)
    agree("Attention", x, w, b, num_heads=2, qkv_hidden_sizes=[4, 4, 6], atol=1e-5)
