"""Putting models together: preprocessing, an estimator and what makes labels of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import compose, helper

from cml_core.graph.writer import GraphWriter

__all__ = ["INPUT", "ML_OPSET", "OPSET", "Output", "finish", "inline", "new_writer"]

#: Name of the model's input.
INPUT = "X"
#: The opset of ai.onnx that converters are asked for, and that everything here is written in.
OPSET = 15
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3


@attrs.frozen(slots=True, eq=False)
class Output:
    """An output of the model: the tensor that it is, its dtype and its shape after the batch."""

    tensor: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()


def new_writer(prefix: str = "head/", opset: int = OPSET) -> GraphWriter:
    """A writer for the nodes around those that converters make."""
    return GraphWriter(prefix, opset)


def inline(writer: GraphWriter, model: onnx.ModelProto, x: str, prefix: str) -> list[str]:
    """Copy a model of one input into a graph.

    Parameters
    ----------
    writer : GraphWriter
        The graph.
    model : onnx.ModelProto
        What is copied. Nodes that make dictionaries of its results (ZipMap) are left out.
    x : str
        The tensor that takes the place of its input.
    prefix : str
        What the names of its nodes and tensors are to begin with.

    Returns
    -------
    list of str
        The tensors that its outputs are, in order.
    """
    copied = compose.add_prefix(model, prefix).graph
    renamed = {copied.input[0].name: x}
    for node in copied.node:
        if node.op_type == "ZipMap":
            renamed[node.output[0]] = node.input[0]
            continue
        node.input[:] = [renamed.get(name, name) for name in node.input]
        writer.nodes.append(node)
    writer.constants.extend(copied.initializer)
    return [renamed.get(value.name, value.name) for value in copied.output]


def finish(
    writer: GraphWriter,
    features: int,
    outputs: Mapping[str, Output],
    opsets: Sequence[onnx.OperatorSetIdProto] = (),
) -> onnx.ModelProto:
    """Return the graph as a model, without what its outputs do not need.

    Parameters
    ----------
    writer : GraphWriter
        The graph; its input is `INPUT`.
    features : int
        Columns of the input.
    outputs : mapping of str to Output
        By name.
    opsets : sequence of opset ids
        What nodes that were copied into the graph need.
    """
    for name, output in outputs.items():
        writer.add("Identity", output.tensor, name=name)
    wanted, nodes = set(outputs), []
    for node in reversed(writer.nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    writer.nodes[:] = nodes[::-1]
    writer.constants[:] = [tensor for tensor in writer.constants if tensor.name in wanted]
    versions = {"": writer.opset} | {opset.domain: opset.version for opset in opsets}
    if any(node.domain == ML_DOMAIN for node in writer.nodes):
        versions[ML_DOMAIN] = max(ML_OPSET, versions.get(ML_DOMAIN, 0))
    base = onnx.ModelProto(
        opset_import=[helper.make_opsetid(domain, v) for domain, v in versions.items()],
    )
    values = [_value(name, one.dtype, one.shape) for name, one in outputs.items()]
    model = writer.model([_value(INPUT, np.dtype(np.float32), (features,))], values, base)
    onnx.checker.check_model(model)
    return model


def _value(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(object) if dtype.kind in "US" else dtype)
    return helper.make_tensor_value_info(name, kind, ["N", *shape])
