"""Models for onnxruntime, and sessions that run them."""

from __future__ import annotations

import onnx
import onnxruntime
from onnx import helper

DOMAIN = "com.microsoft"


def session(model, *, approximate_gelu=False, **options):
    """Return a session that says nothing; options are attributes of its `SessionOptions`."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry(
        "optimization.enable_gelu_approximation", str(int(approximate_gelu))
    )
    for name, value in options.items():
        setattr(settings, name, value)
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=providers)


def one_node(op_type, inputs, attributes, outputs, opset):
    """Return a model with one node, whose tensors are all inputs of the model."""
    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = helper.make_node(op_type, names, outputs, domain=DOMAIN, **attributes)
    taken = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in zip(names, inputs, strict=True)
        if name
    ]
    given = [onnx.ValueInfoProto(name=name) for name in outputs if name]
    graph = helper.make_graph([node], "one_node", taken, given)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
