"""cml: machine-learning models on encrypted data, operator by operator.

The public API of a user:

    import cml_core as cml

    module = cml.NumpyModule.from_onnx("model.onnx")
    quantized = cml.quantize(module, calibration_data, n_bits=4)
    circuit = quantized.compile()
    circuit.keygen()
    y = circuit.predict(x)
"""

from __future__ import annotations

from cml_core.calibration.run import calibrate
from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import CmlError
from cml_core.fhe.backend import FheOptions
from cml_core.fhe.circuit import FheCircuit
from cml_core.numpy_module import NumpyModule
from cml_core.plugins.registry import OpRegistry, default_registry
from cml_core.quantization.client import SaturationWarning
from cml_core.quantization.config import NodeConfig, QuantConfig
from cml_core.quantization.module import OverflowWarning, QuantizedModule, quantize

__all__ = [
    "CalibrationStats",
    "CmlError",
    "FheCircuit",
    "FheOptions",
    "NodeConfig",
    "NumpyModule",
    "OpRegistry",
    "OverflowWarning",
    "QuantConfig",
    "QuantizedModule",
    "SaturationWarning",
    "calibrate",
    "default_registry",
    "quantize",
]
