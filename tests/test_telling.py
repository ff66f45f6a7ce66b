"""Warnings point at the line that called the library, whichever way it was called."""

import warnings

import numpy as np
import pytest

import cml_core as cml
from tests.networks import mlp, samples


@pytest.fixture(scope="module")
def quantized():
    return cml.quantize(cml.NumpyModule.from_onnx(mlp([4, 3, 2])), samples([4], 60), n_bits=3)


@pytest.mark.parametrize("way", ["call", "run", "quantize_inputs"])
def test_a_warning_names_this_file(quantized, way):
    far = 5 * samples([4], 60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if way == "call":
            quantized(far)
        else:
            getattr(quantized, way)({"x": far})
    assert caught
    assert {warning.filename for warning in caught} == {__file__}
    assert np.isfinite(far).all()
