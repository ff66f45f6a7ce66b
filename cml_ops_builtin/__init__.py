"""The operators of ai.onnx, one module each, registered like those of any third party."""
