"""Models of other libraries on their way into ONNX."""
