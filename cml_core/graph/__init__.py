"""From an ONNX file to a graph whose every node is bound to its operator plugin."""
