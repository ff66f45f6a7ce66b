"""What `cml_frontends` itself gives: models of other libraries, compiled in one call."""

from __future__ import annotations

from cml_frontends.compiled import CompiledModel
from cml_frontends.onnx import compile_onnx_model
from cml_frontends.torch import compile_torch_model, torch_to_onnx

__all__ = ["CompiledModel", "compile_onnx_model", "compile_torch_model", "torch_to_onnx"]
