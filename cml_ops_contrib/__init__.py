"""Operators of domains other than ai.onnx, and experimental ones: the same form as the builtin."""
