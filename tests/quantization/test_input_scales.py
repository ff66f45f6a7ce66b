"""Inputs whose elements have scales of their own."""

from __future__ import annotations

import numpy as np
import pytest

import cml_core as cml
from cml_core.quantization.input_output_codes import InputCode
from tests.networks import Net

SIZES = np.array([1e-3, 1.0, 1e3, 5.0], dtype=np.float32)


@pytest.fixture(scope="module")
def weighted():
    """`x @ w` of features of very different sizes that weigh the same, and data for it."""
    rng = np.random.default_rng(0)
    data = (rng.uniform(-1, 1, (300, 4)) * SIZES).astype(np.float32)
    net = Net(["N", 4])
    weight = np.array([[1.0], [-1.0], [0.5], [0.0]]) / SIZES[:, np.newaxis]
    return cml.NumpyModule.from_onnx(net.model(net.add("MatMul", "x", net.constant(weight)))), data


def error(module, data, **options):
    config = cml.QuantConfig(input_bits=6, weight_bits=8, **options)
    quantized = cml.quantize(module, data, config)
    return np.abs(quantized(data) - module(data)).max(), quantized


def test_small_features_count_as_much_as_large_ones(weighted):
    one, _ = error(*weighted)
    each, quantized = error(*weighted, input_scales="each")
    assert each < 0.1 < 0.5 < one
    assert quantized.report().lookups == 0


def test_what_never_changed_gets_the_largest_scale(weighted):
    module, data = weighted
    data = data.copy()
    data[:, 3] = 2.0
    _, quantized = error(module, data, input_scales="each")
    (code,) = quantized.client.inputs
    assert isinstance(code, InputCode)
    assert code.scale[0, 3] == code.scale.max()
    np.testing.assert_array_equal(quantized.client.encode({"x": data})[0][..., 3], 0)


def test_values_outside_are_reported_unless_the_observer_meant_it(weighted):
    module, data = weighted
    far = 3 * data[:5]
    _, quantized = error(module, data, input_scales="each")
    with pytest.warns(cml.SaturationWarning, match="calibrated for each of its elements"):
        quantized(far)
    _, quantized = error(module, data, input_scales="each", observer="mse")
    quantized(far)


def test_eight_bits_leave_room(weighted):
    module, data = weighted
    quantized = cml.quantize(module, data, cml.QuantConfig(input_bits=8, input_scales="each"))
    wider = 1.3 * data
    np.testing.assert_allclose(quantized(wider), module(wider), atol=0.15)


def test_files_and_onnx_keep_all_scales(weighted, tmp_path):
    module, data = weighted
    _, quantized = error(module, data, input_scales="each")
    quantized.save(tmp_path / "model.cml")
    again = cml.QuantizedModule.load(tmp_path / "model.cml")
    exported = cml.NumpyModule.from_onnx(quantized.to_onnx())
    np.testing.assert_array_equal(again(data), quantized(data))
    np.testing.assert_allclose(exported(data), quantized(data), rtol=1e-6)


def test_other_choices_are_refused():
    with pytest.raises(cml.CmlError, match="'one', 'each'"):
        cml.QuantConfig(input_scales="all")
