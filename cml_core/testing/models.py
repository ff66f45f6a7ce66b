"""One-node models from operator examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cml_core.graph.load import OLDEST_OPSET
from cml_core.ops.example import OpExample
from cml_core.ops.plugin import OpPlugin

__all__ = ["NODE_NAME", "example_model", "example_opset", "input_name"]

#: The oldest file format that every opset fits in; no newer than anything that reads ONNX today.
_IR_VERSION = 10
#: Name of the node that an example is.
NODE_NAME = "node"


def input_name(place: int) -> str:
    """Name of the tensor at a position of an example's inputs."""
    return f"input{place}"


def example_opset(plugin: OpPlugin, example: OpExample) -> int:
    """Opset version that an example is for."""
    known = list(plugin.schema.since_versions)
    if not plugin.schema.domain:
        known = [v for v in known if v <= onnx.defs.onnx_opset_version()]
    newest = max(known)
    oldest = 1 if plugin.schema.domain else OLDEST_OPSET
    return example.opset or max(oldest, newest)


def example_model(
    plugin: OpPlugin, example: OpExample, clear: Iterable[int] | None = None
) -> onnx.ModelProto:
    """Make a model of one node from an example.

    Parameters
    ----------
    plugin : OpPlugin
        The operator.
    example : OpExample
        Inputs and attributes.
    clear : iterable of int, optional
        Positions of inputs that are constants of the model; by default those that the example
        does not encrypt.
    """
    present = [place for place, value in enumerate(example.inputs) if value is not None]
    if clear is None:
        clear = [place for place in present if place not in example.encrypted]
    constant = set(clear)
    names = ["" if value is None else input_name(k) for k, value in enumerate(example.inputs)]
    outputs = [f"output{k}" for k in range(example.n_outputs)]
    schema = plugin.schema
    attributes = {k: v for k, v in example.attributes.items() if v is not None}
    node = helper.make_node(
        schema.op_type, names, outputs, name=NODE_NAME, domain=schema.domain, **attributes
    )
    arrays = {place: value for place, value in enumerate(example.inputs) if value is not None}
    graph = helper.make_graph(
        [node],
        "example",
        [_value(k, v) for k, v in arrays.items() if k not in constant],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(v, input_name(k)) for k, v in arrays.items() if k in constant],
    )
    version = example_opset(plugin, example)
    imports = [helper.make_opsetid(schema.domain, version)]
    if schema.domain:
        imports.append(helper.make_opsetid("", onnx.defs.onnx_opset_version()))
    return helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)


def _value(place: int, value: Any) -> onnx.ValueInfoProto:
    name = input_name(place)
    if not isinstance(value, tuple):
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        return helper.make_tensor_value_info(name, kind, value.shape)
    # A sequence without tensors tells nothing of their dtype.
    kind = helper.np_dtype_to_tensor_dtype(value[0].dtype if value else np.dtype(np.float32))
    return helper.make_tensor_sequence_value_info(name, kind, None)
