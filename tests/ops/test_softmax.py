"""Softmax and LogSoftmax inside the circuit: every range of scores, every shape, both revisions."""

import warnings

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import AttributeValueError, NodeError
from cml_core.fhe.backend import installed_backends
from cml_ops_builtin._shared.softmaxes import log_softmax_along, softmax_along
from tests.networks import Net, samples

SCORES = 6
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")


def network(op="Softmax", *, spread=1.0, shift=0.0, before="", opset=17, axis=-1, layer=True):
    """Scores from a dense layer, softmax, and another layer, so that nothing is a tail."""
    net = Net(["batch", 5], seed=3, opset=opset)
    x = net.add("Gemm", "x", net.normal(5, SCORES, scale=spread / np.sqrt(5)))
    if shift:
        x = net.add("Add", x, net.add("Gemm", "x", net.normal(5, 1, scale=shift / np.sqrt(5))))
    if before:
        x = net.add(before, x)
    x = net.add(op, x, axis=axis)
    return net.model(net.add("Gemm", x, net.normal(SCORES, 3)) if layer else x)


def decibels(wanted, got):
    return 10 * np.log10(wanted.var() / np.square(got - wanted).mean())


def quantized_and_wanted(model, n_bits, **options):
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, tail="server", **options)
    quantized = cml.quantize(module, samples((5,), 300), config)
    unseen = samples((5,), 200, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantized, decibels(module(unseen), quantized(unseen))


@pytest.mark.parametrize(
    ("op", "options", "least"),
    [
        ("Softmax", {}, 18),
        ("Softmax", {"spread": 3.0}, 16),
        ("Softmax", {"spread": 10.0}, 13),
        ("Softmax", {"shift": 5.0}, 15),
        ("Softmax", {"before": "Relu", "spread": 3.0}, 17),
        ("LogSoftmax", {}, 25),
        ("LogSoftmax", {"spread": 3.0}, 22),
        ("LogSoftmax", {"shift": 5.0}, 20),
    ],
)
def test_scores_near_and_far(op, options, least):
    _, accuracy = quantized_and_wanted(network(op, **options), 6)
    assert accuracy > least


@pytest.mark.parametrize("levels", [2, 3, 9])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_scores_of_a_few_levels(op, levels):
    net = Net(["batch", SCORES], seed=3)
    output = net.add("Gemm", net.add(op, net.add("Round", "x"), axis=-1), net.normal(SCORES, 3))
    module = cml.NumpyModule.from_onnx(net.model(output))
    data = np.random.default_rng(0).integers(0, levels, (300, SCORES)).astype(np.float32)
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(8, tail="server"))
    assert decibels(module(data), quantized(data)) > 28


@pytest.mark.parametrize("spread", [100.0, 300.0, 3000.0])
@pytest.mark.parametrize("n_bits", [4, 6])
def test_scores_so_far_apart_that_one_of_them_has_all(spread, n_bits):
    _, accuracy = quantized_and_wanted(network(spread=spread), n_bits)
    assert accuracy > n_bits - 2


def test_rows_alike_cost_one_lookup_for_each_element_and_one_for_each_row():
    quantized, _ = quantized_and_wanted(network(), 4)
    # The layer after it asks for the other lookup of each element.
    assert quantized.report().lookups == 2 * SCORES + 1
    logarithm, _ = quantized_and_wanted(network("LogSoftmax"), 4)
    assert logarithm.report().lookups == SCORES + 1


def test_a_common_shift_of_rows_is_taken_off_without_a_tournament():
    quantized, _ = quantized_and_wanted(network("LogSoftmax", shift=5.0, spread=0.5), 4)
    assert quantized.report().lookups < 4 * SCORES


@pytest.mark.parametrize("options", [{"rounding_bits": 16}, {"ranges": "proven"}, {"margin": 0.0}])
def test_other_settings(options):
    _, accuracy = quantized_and_wanted(network(), 4, **options)
    assert accuracy > 8


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(
    ("opset", "axis", "together"), [(17, 1, (2,)), (17, -1, (3,)), (11, 1, (2, 3)), (7, 2, (3,))]
)
def test_axes_of_both_revisions(op, opset, axis, together):
    net = Net(["batch", 2, 3], opset=opset)
    module = cml.NumpyModule.from_onnx(net.model(net.add(op, "x", axis=axis)))
    data = samples((2, 3), 50)
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(7, tail="server"))
    wanted, got = module(data), quantized(data)
    assert np.abs(wanted - got).max() < 0.05 * np.ptp(wanted)
    share = np.exp(wanted) if op == "LogSoftmax" else wanted
    np.testing.assert_allclose(share.sum(axis=tuple(a - 1 for a in together)), 1, rtol=1e-4)


def test_an_axis_of_one_element_is_clear():
    net = Net(["batch", 3, 1])
    y = net.add("Softmax", "x", axis=-1)
    module = cml.NumpyModule.from_onnx(net.model(net.add("Add", y, "x")))
    data = samples((3, 1), 20)
    quantized = cml.quantize(module, data, n_bits=4)
    assert quantized.report().lookups == 0
    np.testing.assert_allclose(quantized(data), module(data), atol=0.3)


def test_a_final_softmax_stays_with_the_client():
    module = cml.NumpyModule.from_onnx(network(layer=False))
    quantized = cml.quantize(module, samples((5,), 50), n_bits=4)
    assert quantized.report().lookups == 0


def test_an_axis_out_of_range_is_refused():
    with pytest.raises((AttributeValueError, NodeError), match="axis"):
        quantized_and_wanted(network(axis=2), 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("function", [softmax_along, log_softmax_along])
def test_float_reference_keeps_its_type(function, dtype):
    x = np.array([[1.0, 2.0, 300.0], [0.0, 0.0, 0.0]], dtype=dtype)
    with np.errstate(over="ignore"):
        (y,) = function(x, axis=-1)
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    assert function(x[:0], axis=-1)[0].shape == (0, 3)
    with np.errstate(divide="ignore"):
        assert function(x[:, :0], axis=-1)[0].shape == (2, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [0.0, -13.0, -60.0, 35.0, 60.0])
@pytest.mark.parametrize("high", [1.0, 16.0, 80.0, 1e30])
def test_rows_near_and_far_from_zero(dtype, high, shift):
    rng = np.random.default_rng(0)
    x = (rng.uniform(-1, 1, size=(300, 130)) * high + shift).astype(dtype)
    with np.errstate(over="ignore"):
        (y,) = softmax_along(x, axis=-1)
    wide = x.astype(np.float64)
    power = np.exp(wide - wide.max(axis=-1, keepdims=True))
    wanted = power / power.sum(axis=-1, keepdims=True)
    exact = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, wanted, rtol=exact * min(high, 100.0), atol=1e-30)


@pytest.mark.parametrize("width", [5, 64])
def test_a_row_has_one_softmax_in_whatever_batch(width):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, width)).astype(np.float32)
    x *= np.repeat(np.float32([1, 10, 100, 1e4]), 10)[:, np.newaxis]
    with np.errstate(over="ignore"):
        (y,) = softmax_along(x, axis=-1)
        alone = np.concatenate([softmax_along(row[np.newaxis], axis=-1)[0] for row in x])
    np.testing.assert_array_equal(y, alone)


@compiled
@pytest.mark.parametrize(
    ("op", "options"), [("Softmax", {}), ("Softmax", {"spread": 8.0}), ("LogSoftmax", {})]
)
def test_simulation_gives_the_clear_integers(op, options):
    quantized, _ = quantized_and_wanted(network(op, **options), 3)
    data = samples((5,), 5, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(quantized.compile().simulate(data), quantized(data))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("spread", "lookups"), [(0.3, 7), (3.0, 13), (300.0, 13)])
def test_logarithms_of_sums_of_exponentials_near_and_far(spread, lookups, keepdims):
    net = Net(["batch", SCORES], opset=17)
    output = net.add("ReduceLogSumExp", "x", axes=[1], keepdims=keepdims)
    module = cml.NumpyModule.from_onnx(net.model(output))
    data = np.random.default_rng(0).normal(0, spread, (300, SCORES)).astype(np.float32)
    quantized = cml.quantize(module, data, cml.QuantConfig.with_bits(6, tail="server"))
    assert quantized(data).shape == module(data).shape
    assert decibels(module(data), quantized(data)) > 22
    assert quantized.report().lookups == lookups
