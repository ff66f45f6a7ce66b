"""Attention: against onnx's reference where that follows the text, and inside the circuit."""

import warnings

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import NodeError, QuantizationError
from cml_core.fhe.backend import installed_backends
from cml_ops_builtin.attention import attention
from tests.networks import Net

TOKENS, SIZE = 3, 4


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def data(count=200, seed=0, tokens=TOKENS):
    values = np.random.default_rng(seed).normal(size=(count, tokens, SIZE)).clip(-2.5, 2.5)
    return values.astype(np.float32)


def decibels(wanted, got):
    return 10 * np.log10(wanted.var() / np.square(got - wanted).mean())


def network(*, encrypted="qkv", more=(), layers=True, tokens=TOKENS, **attributes):
    """Self-attention with two heads, of which some of Q, K and V are projections of the input."""
    # Constants have a batch axis of one, and so has the model.
    net = Net([1, tokens, SIZE], opset=25)
    parts = [
        net.add("MatMul", "x", net.normal(SIZE, SIZE))
        if name in encrypted
        else net.constant(uniform(1, tokens, SIZE, seed=place))
        for place, name in enumerate("qkv")
    ]
    attributes = {"q_num_heads": 2, "kv_num_heads": 2, **attributes}
    more = [net.constant(value) if value is not None else "" for value in more]
    y = net.add("Attention", *parts, *more, **attributes)
    return net.model(net.add("MatMul", y, net.normal(SIZE, 2)) if layers else y)


def quantize(model, n_bits=5, **options):
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, tail="server", **options)
    return module, cml.quantize(module, data(), config)


def accuracy(model, n_bits=5, **options):
    module, quantized = quantize(model, n_bits, **options)
    unseen = data(seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = np.concatenate([module(sample[np.newaxis]) for sample in unseen])
        got = np.concatenate([quantized(sample[np.newaxis]) for sample in unseen])
        return decibels(wanted, got), quantized.report().lookups


def test_every_stage_of_the_scores_can_be_asked_for():
    q, k, v = (uniform(1, 1, 2, 2, seed=s) for s in range(3))
    options = {"softcap": 0.5, "scale": 2.0, "is_causal": 1}
    stages = [attention(q, k, v, qk_matmul_output_mode=m, **options)[3] for m in range(4)]
    np.testing.assert_allclose(stages[0], 2 * q @ k.swapaxes(-1, -2), rtol=1e-5)
    np.testing.assert_allclose(stages[1], 0.5 * np.tanh(stages[0] / 0.5), rtol=1e-5)
    assert stages[2][0, 0, 0, 1] == -np.inf
    np.testing.assert_allclose(stages[3][0, 0, 0], [1, 0])
    np.testing.assert_allclose(stages[3].sum(axis=-1), 1, rtol=1e-6)


def test_heads_share_keys_and_a_negative_scale_turns_scores_round():
    q, k, v = uniform(1, 4, 2, 3), uniform(1, 2, 5, 3, seed=1), uniform(1, 2, 5, 2, seed=2)
    (y, *_), (turned, *_) = (
        attention(a, k, v, softcap=0.0, qk_matmul_output_mode=0, is_causal=0, scale=s)
        for a, s in ((q, 0.5), (-q, -0.5))
    )
    np.testing.assert_allclose(y, turned, rtol=1e-5)
    alone, *_ = attention(
        q[:, 3:], k[:, 1:], v[:, 1:], softcap=0.0, qk_matmul_output_mode=0, is_causal=0, scale=0.5
    )
    np.testing.assert_allclose(y[:, 3:], alone, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 2, 5, 4), id="small"),
        pytest.param((3, 4, 128, 8), id="more heads than go at a time"),
        pytest.param((1, 1, 400, 8), id="a head that is more than goes at a time"),
        pytest.param((2, 2, 128, 64), id="products in halves"),
        pytest.param((1, 2, 127, 70), id="an odd number of rows"),
    ],
)
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_heads_in_parts_are_heads_as_a_whole(shape, dtype, spread):
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=shape).astype(dtype) for _ in range(3))
    settings = {"softcap": 0.0, "qk_matmul_output_mode": 0, "is_causal": 0, "scale": spread}
    with np.errstate(over="ignore", invalid="ignore"):
        parts = attention(q, k, v, n_outputs=3, **settings)
        alone = attention(q[-1:, -1:], k[-1:, -1:], v[-1:, -1:], n_outputs=1, **settings)
    np.testing.assert_array_equal(parts[0][-1, -1], alone[0][0, 0])
    scores = spread * np.einsum("bhid,bhjd->bhij", q.astype(np.float64), k.astype(np.float64))
    power = np.exp(scores - scores.max(axis=-1, keepdims=True))
    wanted = np.einsum("bhij,bhjd->bhid", power / power.sum(axis=-1, keepdims=True), v)
    assert len(parts) == 3
    assert parts[0].dtype == dtype
    # The exponential makes what rounding does to a score of hundreds larger by as much.
    exact = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(parts[0], wanted, atol=exact * spread, rtol=0)


def test_a_score_that_is_not_finite_spoils_its_own_row_only():
    q, k, v = (uniform(1, 1, 4, 2, seed=s) for s in range(3))
    q[0, 0, 1] = np.nan
    with np.errstate(invalid="ignore"):
        y, *_ = attention(q, k, v, n_outputs=1, softcap=0.0, qk_matmul_output_mode=0, is_causal=0)
    assert np.isnan(y[0, 0, 1]).all()
    assert np.isfinite(np.delete(y, 1, axis=2)).all()


def test_values_too_large_for_weights_that_are_not_divided_yet_are_exact():
    q, k, v = (uniform(1, 2, 4, 2, seed=s) for s in range(3))
    ordinary, *_ = attention(q, k, v, n_outputs=1, softcap=0.0, qk_matmul_output_mode=0, scale=30.0)
    v[0, 0] *= np.float32(1e38)
    with np.errstate(over="ignore", invalid="ignore"):
        y, *_ = attention(q, k, v, n_outputs=1, softcap=0.0, qk_matmul_output_mode=0, scale=30.0)
    np.testing.assert_allclose(y[0, 0], ordinary[0, 0] * np.float32(1e38), rtol=1e-4)
    np.testing.assert_array_equal(y[0, 1], ordinary[0, 1])


def test_the_short_way_computes_what_the_long_one_does():
    net = Net([2, 4, 6, 8], opset=25)
    model = net.model(net.add("Attention", "x", "x", "x", scale=0.7))
    x = uniform(2, 4, 6, 8)
    y, *_ = attention(x, x, x, n_outputs=1, softcap=0.0, qk_matmul_output_mode=0, scale=0.7)
    np.testing.assert_array_equal(cml.NumpyModule.from_onnx(model)(x), y)


@pytest.mark.parametrize("shape", [(0, 2, 3, 2), (1, 2, 0, 2), (1, 2, 3, 2)])
def test_empty_batches_and_sequences(shape):
    q = np.zeros(shape, dtype=np.float16)
    k, v = np.zeros((shape[0], 2, 0, 2), np.float16), np.zeros((shape[0], 2, 0, 5), np.float16)
    y, _, _, weights = attention(q, k, v, softcap=0.0, qk_matmul_output_mode=3, is_causal=0)
    assert y.shape == (*shape[:3], 5)
    assert weights.shape == (*shape[:3], 0)
    assert y.dtype == np.float16
    assert not y.any()


@pytest.mark.parametrize(
    ("inputs", "attributes", "named"),
    [
        ((2, 3, 4), {}, "q_num_heads"),
        ((2, 3, 4), {"q_num_heads": 3, "kv_num_heads": 3}, "shape of Q"),
        ((2, 3, 4), {"q_num_heads": 1, "kv_num_heads": 2}, "a multiple of 2"),
        ((2, 2, 3, 4), {"softmax_precision": 7}, "softmax_precision"),
        ((2, 2, 3, 4), {"qk_matmul_output_mode": 5}, "qk_matmul_output_mode"),
        ((2, 2, 3, 4), {"left_window_size": -3}, "left_window_size"),
        ((3, 4), {}, "3 or 4 axes"),
    ],
)
def test_bad_attributes_are_named(inputs, attributes, named):
    net = Net(list(inputs), opset=25)
    model = net.model(net.add("Attention", "x", "x", "x", **attributes))
    with pytest.raises(NodeError, match=named):
        cml.NumpyModule.from_onnx(model)(uniform(*inputs))


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({}, 16),
        ({"is_causal": 1}, 16),
        ({"left_window_size": 1, "right_window_size": 0}, 16),
        ({"softcap": 1.0}, 14),
        ({"scale": -0.5}, 16),
        ({"more": (uniform(1, 2, TOKENS, TOKENS),)}, 15),
        ({"more": (np.array([[True, True, False], [False, False, False], [True] * 3]),)}, 16),
        ({"encrypted": "q"}, 22),
        ({"encrypted": "k"}, 20),
        ({"encrypted": "v"}, 16),
        ({"encrypted": "qk"}, 14),
        ({"encrypted": "qv"}, 16),
        ({"encrypted": "kv"}, 16),
    ],
)
def test_attention_inside_the_circuit_is_close_to_float(options, least):
    signal, _ = accuracy(network(**options))
    assert signal > least


def test_a_causal_mask_saves_lookups():
    whole, causal = (accuracy(network(is_causal=flag, tokens=TOKENS))[1] for flag in (0, 1))
    # Half of what is off the diagonal: its terms, and two or three lookups of its softmax.
    terms = 2 * (3 * 2) * 2
    assert whole - causal >= terms + 2 * 3 * 2


def test_a_clear_cache_stands_before_encrypted_keys():
    cache = uniform(1, 2, 2, 2, seed=3), uniform(1, 2, 2, 2, seed=4)
    signal, _ = accuracy(network(more=(None, *cache), is_causal=1))
    assert signal > 15


def test_other_outputs_are_encrypted_too():
    net = Net(["n", 2, TOKENS, 2], opset=25)
    names = ["y", "present_key", "present_value", "weights"]
    net.add("Attention", "x", "x", "x", qk_matmul_output_mode=3)
    del net.nodes[0].output[:]
    net.nodes[0].output.extend(names)
    values = np.random.default_rng(0).normal(size=(100, 2, TOKENS, 2)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(net.model(*names))
    quantized = cml.quantize(module, values, cml.QuantConfig.with_bits(6, tail="server"))
    for wanted, got in zip(module(values), quantized(values), strict=True):
        assert decibels(wanted, got) > 15


def test_an_encrypted_mask_is_refused():
    net = Net(["n", TOKENS, SIZE], opset=25)
    mask = net.add("MatMul", "x", net.normal(SIZE, TOKENS))
    mask = net.add("Unsqueeze", mask, net.constant(np.array([1])))
    attributes = {"q_num_heads": 2, "kv_num_heads": 2}
    model = net.model(net.add("Attention", "x", "x", "x", mask, **attributes))
    with pytest.raises(QuantizationError, match="mask"):
        quantize(model)


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize("options", [{}, {"is_causal": 1}, {"softcap": 1.0}, {"encrypted": "q"}])
def test_simulation_equals_the_clear_integers(options):
    module = cml.NumpyModule.from_onnx(network(tokens=2, **options))
    values = data(tokens=2)
    quantized = cml.quantize(module, values, cml.QuantConfig.with_bits(3, tail="server"))
    few = values[:3]
    np.testing.assert_array_equal(quantized.compile().simulate(few), quantized(few))
