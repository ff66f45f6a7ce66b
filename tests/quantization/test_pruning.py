"""Channels that need no lookup: constant ones, and those that others can stand in for."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import ConfigError
from cml_core.quantization.pruning import prune_inputs
from tests.networks import Net, samples


def quantize(model, data, **options):
    module = cml.NumpyModule.from_onnx(model)
    return module, cml.quantize(module, data, cml.QuantConfig.with_bits(6, **options))


def lookups(quantized):
    return quantized.report().lookups


def signal_to_noise(reference, result):
    noise = np.square(result - reference).mean()
    return 10 * np.log10(np.square(reference - reference.mean()).mean() / noise)


def test_neurons_that_never_fire_cost_no_lookup():
    net = Net(["batch", 6])
    bias = np.where(np.arange(5) < 2, -1000.0, 0.1)
    x = net.add("Relu", net.add("Gemm", "x", net.normal(6, 5), net.constant(bias)))
    module, quantized = quantize(net.model(net.dense(x, 5, 3)), samples([6], 200))
    assert lookups(quantized) == 3
    data = samples([6], 50, seed=2)
    assert signal_to_noise(module(data), quantized(data)) > 20


def test_a_layer_of_which_nothing_varies_costs_no_lookup():
    net = Net(["batch", 4])
    x = net.add("Relu", net.add("Gemm", "x", net.normal(4, 3), net.constant(np.full(3, -500.0))))
    x = net.add("Add", x, net.constant([1.0, 2.0, 3.0]))
    module, quantized = quantize(net.model(net.dense(x, 3, 2)), samples([4], 100))
    assert lookups(quantized) == 0
    np.testing.assert_allclose(quantized(samples([4])), module(samples([4])), atol=0.05)


def test_twins_share_their_lookups():
    net = Net(["batch", 6])
    weight = np.random.default_rng(0).normal(size=(6, 4))
    x = net.add("Gemm", "x", net.constant(np.concatenate([weight, weight], axis=1)))
    x = net.dense(net.add("Relu", x), 8, 3)
    data = samples([6], 300)
    module, whole = quantize(net.model(x), data)
    _, pruned = quantize(net.model(x), data, prune=0.03)
    assert lookups(whole) == 8
    assert lookups(pruned) == 4
    assert signal_to_noise(module(data), pruned(data)) > 18


def test_channels_of_a_convolution_are_left_out_whole():
    net = Net(["batch", 1, 6, 6])
    filters = np.random.default_rng(0).normal(size=(3, 1, 3, 3))
    x = net.add("Conv", "x", net.constant(np.concatenate([filters, filters[:1]])))
    x = net.add("Conv", net.add("Relu", x), net.normal(2, 4, 3, 3), pads=[1, 1, 1, 1])
    data = samples([1, 6, 6], 100)
    module, pruned = quantize(net.model(x), data, prune=0.02)
    assert lookups(pruned) == 3 * 16
    assert signal_to_noise(module(data), pruned(data)) > 18


def test_the_error_stays_within_what_was_allowed():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 12))
    inputs = rng.normal(size=(2000, 6)) @ mixing + 0.3 * rng.normal(size=(2000, 12)) + 1.0
    weight = rng.normal(size=(12, 5))
    for most in (0.01, 0.05, 0.2):
        found = prune_inputs(weight, inputs, 12, most)
        assert found is not None
        assert not found.weight[~found.kept].any()
        wanted, got = inputs @ weight, inputs @ found.weight + found.offset
        share = np.square(got - wanted).mean(axis=0) / wanted.var(axis=0)
        assert share.mean() < 1.3 * most
        np.testing.assert_allclose(got.mean(axis=0), wanted.mean(axis=0), atol=1e-9)
    assert prune_inputs(weight, inputs, 12, 1e-9) is None


@pytest.mark.parametrize("share", [-0.1, 1.0, "much", True, float("nan")])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ConfigError) as caught:
        cml.QuantConfig(prune=share)
    assert caught.value.argument == "prune"


def test_constant_inputs_leave_nothing_to_choose():
    assert prune_inputs(np.ones((3, 2)), np.ones((10, 3)), 3, 0.5) is None


def test_a_single_sample_leaves_everything_in():
    net = Net(["batch", 4])
    x = net.dense(net.add("Relu", net.dense("x", 4, 3)), 3, 2)
    data = samples([4])[:1]
    quantized = cml.quantize(cml.NumpyModule.from_onnx(net.model(x)), data, cml.QuantConfig.fast())
    assert np.isfinite(quantized(data)).all()
