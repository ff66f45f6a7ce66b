"""The operators of ai.onnx, one module each, registered like those of any third party."""

#: The plugin API that they are written for.
CML_API = "1.0"
