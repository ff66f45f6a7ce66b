"""A model in its three forms, written to a file and read back."""

from __future__ import annotations

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import ConfigError
from cml_core.fhe.backend import FheOptions
from cml_frontends import CompiledModel, compile_onnx_model
from tests.networks import mlp, samples

X = samples([3])


@pytest.fixture(scope="module")
def quantized():
    return compile_onnx_model(mlp([3, 2, 2]), X, n_bits=2, compile=False)


def test_a_quantized_model_is_read_back_without_its_float_form(quantized, tmp_path):
    path = tmp_path / "net.cml"
    quantized.save(path)
    loaded = CompiledModel.load(path)
    np.testing.assert_array_equal(loaded.predict(X), quantized.predict(X))
    assert (loaded.numpy_module, loaded.onnx_model, loaded.fhe_circuit) == (None, None, None)
    assert repr(loaded) == "<CompiledModel of a file: not compiled>"
    with pytest.raises(ConfigError, match="until the model is compiled"):
        loaded.predict(X, fhe="simulate")


@pytest.mark.usefixtures("needs_compiler")
def test_a_compiled_model_is_read_back_with_its_circuit(quantized, tmp_path):
    path = tmp_path / "net.cml"
    model = quantized.compile(FheOptions(p_error=2.0**-20))
    model.save(path)
    loaded = CompiledModel.load(path)
    assert loaded.fhe_circuit.module is loaded.quantized_module
    assert loaded.fhe_circuit.options.p_error == 2.0**-20
    np.testing.assert_array_equal(loaded.predict(X, fhe="simulate"), model.predict(X))
    assert CompiledModel.load(path, p_error=2.0**-10).fhe_circuit.options.p_error == 2.0**-10

    later = CompiledModel.load(path, compile=False)
    assert later.fhe_circuit is None
    assert later.compile().fhe_circuit.report.lookups == model.fhe_circuit.report.lookups


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "net.cml"
    path.write_bytes(b"no model")
    with pytest.raises(cml.CmlError, match=r"net\.cml"):
        CompiledModel.load(path)
