"""The public API of a user, as `cml_core` itself gives it."""

from __future__ import annotations

from cml_core.calibration.run import calibrate
from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import CmlError
from cml_core.fhe.backend import FheOptions
from cml_core.fhe.circuit import FheCircuit
from cml_core.fhe.client import FheClient
from cml_core.fhe.sent import EncryptedSamples, EvaluationKeys
from cml_core.limits import tensor_limit
from cml_core.numpy_module import NumpyModule
from cml_core.plugins.registry import OpRegistry, default_registry
from cml_core.profiling import Profile, profile
from cml_core.quantization.client import SaturationWarning
from cml_core.quantization.config import NodeConfig, QuantConfig
from cml_core.quantization.module import OverflowWarning, QuantizedModule, quantize

__all__ = [
    "CalibrationStats",
    "CmlError",
    "EncryptedSamples",
    "EvaluationKeys",
    "FheCircuit",
    "FheClient",
    "FheOptions",
    "NodeConfig",
    "NumpyModule",
    "OpRegistry",
    "OverflowWarning",
    "Profile",
    "QuantConfig",
    "QuantizedModule",
    "SaturationWarning",
    "calibrate",
    "default_registry",
    "profile",
    "quantize",
    "tensor_limit",
]
