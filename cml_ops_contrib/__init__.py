"""Operators of domains other than ai.onnx, and experimental ones: the same form as the builtin."""

#: The plugin API that they are written for.
CML_API = "1.0"
