"""ONNX models compiled in one call."""

from __future__ import annotations

import os
from typing import Any

import onnx

from cml_core.fhe.backend import FheOptions
from cml_core.quantization.config import QuantConfig
from cml_frontends.compiled import CompiledModel

__all__ = ["compile_onnx_model"]


def compile_onnx_model(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    inputset: Any,
    config: QuantConfig | None = None,
    *,
    n_bits: int | None = None,
    options: FheOptions | None = None,
    compile: bool = True,
) -> CompiledModel:
    """Load, quantize and compile an ONNX model.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        An ONNX file, its content, or the parsed model.
    inputset : array, tuple of arrays or mapping
        Representative samples for each input, positionally or by name.
    config : QuantConfig, optional
        All choices of quantization.
    n_bits : int, optional
        One bit width for inputs, weights and activations, in place of `config`.
    options : FheOptions, optional
        How the circuit is compiled.
    compile : bool
        Stop after quantization if False; `CompiledModel.compile` goes on from there.

    Raises
    ------
    CmlError
        What `NumpyModule.from_onnx`, `quantize` and `QuantizedModule.compile` raise.
    """
    return CompiledModel.from_onnx(
        model, inputset, config, n_bits=n_bits, options=options, compile=compile
    )
