"""Results of which the client reads fewer bits than they have."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.fhe.backend import FheOptions
from cml_core.program.instructions import Opcode
from tests.networks import Net, mlp, samples


def quantize(**options):
    module = cml.NumpyModule.from_onnx(mlp([6, 5, 3]))
    config = cml.QuantConfig.with_bits(4, rounding="approximate", **options)
    return module, cml.quantize(module, samples([6], 200), config)


def output(quantized):
    (position,) = quantized.program.outputs
    return quantized.program.instructions[position]


def test_low_bits_are_rounded_away():
    _, whole = quantize()
    _, narrow = quantize(read_bits=5)
    assert output(whole).opcode is not Opcode.ROUND
    rounded = output(narrow)
    assert rounded.opcode is Opcode.ROUND
    assert rounded.interval.width - rounded.lost_bits <= 5


def test_exact_rounding_reads_all_bits():
    module = cml.NumpyModule.from_onnx(mlp([6, 5, 3]))
    config = cml.QuantConfig.with_bits(4, read_bits=3)
    assert output(cml.quantize(module, samples([6]), config)).opcode is not Opcode.ROUND


def test_the_result_is_within_a_step_of_the_whole_one():
    module, quantized = quantize(read_bits=6, rounding_bits=8)
    data = samples([6], 100)
    error = np.abs(quantized(data) - module(data)).max(axis=0) / np.ptp(module(data), axis=0)
    assert error.max() < 0.15


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("rounding", ["quantized", "exact"])
def test_decrypted_results_are_those_that_are_rounded_in_the_clear(rounding, key_cache):
    _, quantized = quantize(read_bits=4, weight_bits=2, activation_bits=2, rounding_bits=2)
    circuit = quantized.compile(FheOptions(rounding=rounding, key_cache=key_cache))
    data = samples([6], 20, seed=5)
    got, wanted = circuit.simulate(data), quantized(data)
    # Every result is a whole number of steps off: none with exact rounding, else one or two.
    step = 2.0 ** output(quantized).lost_bits * quantized.client.outputs[0].scale.max()
    assert np.abs(got - wanted).max() <= (0 if rounding == "exact" else 3 * step)
    assert circuit.report.complexity > 0


@pytest.mark.parametrize("tail", ["client", "server"])
def test_results_that_are_decoded_by_a_table(tail):
    net = Net(["batch", 1, 6])
    model = net.model(net.add("MaxPool", "x", kernel_shape=[2]))
    module = cml.NumpyModule.from_onnx(model)
    data = samples([1, 6], 200)
    quantized = cml.quantize(module, data, cml.QuantConfig.best(tail=tail))
    assert np.abs(quantized(data) - module(data)).max() < 0.1 * np.ptp(data)
