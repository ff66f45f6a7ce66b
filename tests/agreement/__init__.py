"""Every native operator against onnxruntime, on random shapes, attributes and values."""
