"""Operators with a state: caches, causal convolutions, linear attention, and the gate SwiGLU."""

import numpy as np
import pytest

from cml_core.errors import QuantizationError
from tests.one_node import (
    assert_as,
    assert_refused,
    of_onnxruntime,
    of_reference,
    quantized,
    results,
)


def tensor_scatter_case(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 5))
    shape = rng.integers(1, 4, rank)
    axis = int(rng.integers(1, rank))
    shape[0], shape[axis] = rng.integers(0, 4), rng.integers(1, 6)
    new = shape.copy()
    new[axis] = rng.integers(0 if seed % 4 == 0 else 1, shape[axis] + 1)
    mode = "circular" if seed % 2 else "linear"
    room = shape[axis] if seed % 2 else shape[axis] - new[axis] + 1
    first = rng.integers(0, room, shape[0]) if rng.random() < 0.7 else None
    kind = np.float64 if seed % 5 == 0 else np.int32 if seed % 5 == 1 else np.float32
    cache, update = ((9 * rng.normal(size=s)).astype(kind) for s in (shape, new))
    return (cache, update, first), {"mode": mode, "axis": axis - rank if seed % 3 else axis}


@pytest.mark.parametrize("seed", range(40))
def test_tensor_scatter(seed):
    inputs, options = tensor_scatter_case(seed)
    for other in (of_reference, of_onnxruntime):
        assert_as(other, "TensorScatter", inputs, opset=24, **options)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.bool_])
def test_scatter(axis, kind):
    rng = np.random.default_rng(0)
    data, updates = (rng.integers(0, 9, s).astype(kind) for s in ((3, 4), (2, 3)))
    indices = rng.permuted(np.arange(3)[np.newaxis].repeat(2, axis=0), axis=1)
    if axis == 0:
        indices = np.array([[0, 1, 2], [2, 0, 1]])
    for opset in (9, 10):
        assert_as(of_onnxruntime, "Scatter", (data, indices, updates), opset=opset, axis=axis)


@pytest.mark.parametrize("seed", range(5))
def test_caches_move_without_a_lookup(seed):
    inputs, options = tensor_scatter_case(10 * seed)
    inputs = (*(a.astype(np.float32) for a in inputs[:2]), inputs[2])
    if inputs[1].size:
        integers, error = quantized("TensorScatter", inputs, encrypted=(0, 1), opset=24, **options)
        assert integers.report().lookups == 0
        assert error < 0.01


def convolution_case(seed, count=None):
    rng = np.random.default_rng(seed)
    batch = int(rng.integers(0, 3)) if count is None else count
    channels, length, kernel = rng.integers(1, 4), rng.integers(1, 6), rng.integers(1, 5)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    bias = normal(channels) if rng.random() < 0.5 else None
    past = normal(batch, channels, kernel - 1) if rng.random() < 0.5 else None
    inputs = (normal(batch, channels, length), normal(channels, 1, kernel), bias, past)
    return inputs, {"activation": str(rng.choice(["none", "silu", "swish"]))}


@pytest.mark.parametrize("seed", range(40))
def test_causal_convolution(seed):
    inputs, options = convolution_case(seed)
    for other in (of_reference, of_onnxruntime) if inputs[0].size else (of_onnxruntime,):
        assert_as(
            other, "CausalConvWithState", inputs, opset=27, n_outputs=2, tolerance=1e-4, **options
        )


@pytest.mark.parametrize("seed", range(10))
def test_causal_convolution_takes_no_lookup(seed):
    inputs, options = convolution_case(seed, count=2)
    options |= {"tail": "client", "n_bits": 6}
    past = inputs[3]
    encrypted = (0,) if past is None or not past.size else (0, 3)
    integers, error = quantized(
        "CausalConvWithState", inputs, encrypted=encrypted, opset=27, n_outputs=2, **options
    )
    assert integers.report().lookups == 0
    assert error < 0.05


def attention_case(seed, rule=None):
    rng = np.random.default_rng(seed)
    batch, tokens, heads, group, size, depth = (int(n) for n in rng.integers(1, 4, 6))
    rule = rule or ("linear", "gated", "delta", "gated_delta")[seed % 4]

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    width = heads * (size if seed % 3 == 0 else 1)
    inputs = (
        uniform(batch, tokens, heads * group * size),
        uniform(batch, tokens, heads * size),
        uniform(batch, tokens, heads * depth),
        uniform(batch, heads, size, depth) if rng.random() < 0.5 else None,
        -np.abs(uniform(batch, tokens, width)) if "gated" in rule else None,
        np.abs(uniform(batch, tokens, heads if seed % 2 else 1)) if "delta" in rule else None,
    )
    scale = 0.3 if rng.random() < 0.5 else 0.0
    return inputs, {
        "q_num_heads": heads * group,
        "kv_num_heads": heads,
        "update_rule": rule,
        "scale": scale,
    }


@pytest.mark.parametrize("seed", range(40))
def test_linear_attention(seed):
    inputs, options = attention_case(seed)
    for other in (of_reference, of_onnxruntime):
        assert_as(other, "LinearAttention", inputs, opset=27, n_outputs=2, **options)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("encrypted", [(0,), (2,), (2, 3)])
def test_linear_attention_with_clear_keys_takes_no_lookup(seed, encrypted):
    inputs, options = attention_case(seed)
    encrypted = tuple(k for k in encrypted if inputs[k] is not None)
    integers, error = quantized(
        "LinearAttention", inputs, encrypted=encrypted, opset=27, n_outputs=2, **options
    )
    assert integers.report().lookups == 0
    assert error < 0.03


@pytest.mark.parametrize("seed", [1, 2, 4, 5])
@pytest.mark.parametrize("encrypted", [(0, 2), (1,), (0, 1), (1, 2), (0, 1, 2, 3)])
def test_linear_attention_of_encrypted_factors(seed, encrypted):
    inputs, options = attention_case(seed, rule="gated" if seed % 2 else "linear")
    encrypted = tuple(k for k in encrypted if inputs[k] is not None)
    _, error = quantized(
        "LinearAttention", inputs, encrypted=encrypted, n_bits=6, opset=27, n_outputs=2, **options
    )
    assert error < 0.12


def test_linear_attention_refuses_what_it_cannot_do():
    inputs, options = attention_case(2)
    for rule, encrypted, reason in (
        ("delta", (1,), "the key is encrypted, and the rule"),
        ("gated", (0, 4), "decay or beta is encrypted"),
    ):
        inputs, options = attention_case(3, rule=rule)
        with pytest.raises(QuantizationError, match=reason):
            quantized(
                "LinearAttention", inputs, encrypted=encrypted, opset=27, n_outputs=2, **options
            )


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_swi_glu(kind):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(3, 0 if kind is np.float64 else 4)).astype(kind) for _ in range(2))
    tolerance = 3e-3 if kind is np.float16 else 1e-5
    assert_as(of_reference, "SwiGLU", (a, b), opset=28, tolerance=tolerance, alpha=1.5)
    (far,) = results("SwiGLU", (np.array([-1e4, 1e4], kind), np.array([1, 2], kind)), opset=28)
    assert far.tolist() == [0, 2e4]


def test_swi_glu_in_integers():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(2, 5)).astype(np.float32) for _ in range(2))
    for encrypted in ((0,), (1,), (0, 1)):
        integers, error = quantized(
            "SwiGLU", (a, b), encrypted=encrypted, n_bits=6, opset=28, tail="client"
        )
        assert error < 0.06
        assert bool(integers.report().lookups) == (len(encrypted) == 2)


def test_what_is_wrong_is_said():
    x = np.zeros((1, 2, 3), np.float32)
    assert_refused("shape of B", "SwiGLU", (x, x[:, :1]), opset=28)
    for match, inputs, options in (
        ("axis", (x, x), {"axis": 0}),
        ("mode", (x, x), {"mode": "other"}),
        ("shape of update", (x, np.zeros((1, 3, 3), np.float32)), {}),
        ("write_indices", (x, x, np.array([1])), {}),
        ("write_indices", (x, x, np.array([-1])), {}),
        ("shape of write_indices", (x, x, np.array([0, 0])), {}),
    ):
        assert_refused(match, "TensorScatter", inputs, opset=24, **options)
    w, two = np.zeros((2, 1, 2), np.float32), {"opset": 27, "n_outputs": 2}
    for match, inputs, options in (
        ("activation", (x, w), {"activation": "relu"}),
        ("shape of weight", (x, w[:1]), {}),
        ("shape of past_state", (x, w, None, x), {}),
        ("shape of input", (x[0], w), {}),
    ):
        assert_refused(match, "CausalConvWithState", inputs, **two, **options)
    heads = {"q_num_heads": 1, "kv_num_heads": 1, "update_rule": "linear"}
    gate = np.zeros((1, 2, 1), np.float32)
    for match, inputs, options in (
        ("update_rule", (x, x, x), {"update_rule": "other"}),
        ("decay", (x, x, x), {"update_rule": "gated"}),
        ("beta", (x, x, x, None, None, gate), {}),
        ("shape of decay", (x, x, x, None, x[..., :2]), {"update_rule": "gated"}),
        ("q_num_heads", (x, x, x), {"kv_num_heads": 3}),
        ("shape of query", (x, x[..., :2], x), {}),
        ("shape of past_state", (x, x, x, x[np.newaxis]), {}),
    ):
        assert_refused(match, "LinearAttention", inputs, **two, **{**heads, **options})
