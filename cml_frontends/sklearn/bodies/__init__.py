"""What estimators compute, as nodes of an ONNX graph: by their converters, or written here."""
