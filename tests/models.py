"""Small ONNX models, and operators that exist only in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpSchema
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry, default_registry

OPSET = 17
node = helper.make_node


def value(name: str, shape: Sequence[int | str | None] | None, kind: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Any] | Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str | onnx.ValueInfoProto],
    initializers: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = OPSET,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model of float tensors; `inputs` maps names to shapes, or lists what `value` gives."""
    if isinstance(inputs, Mapping):
        inputs = [value(name, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        list(inputs),
        [value(out, None) if isinstance(out, str) else out for out in outputs],
        [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()],
    )
    imports = {"": opset, **(domains or {})}
    opsets = [helper.make_opsetid(domain, version) for domain, version in imports.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def relu_model(shape: Sequence[int | str | None] | None = ("batch", 4), **options: Any):
    return make_model([node("Relu", ["x"], ["y"], name="relu")], {"x": shape}, ["y"], **options)


def linear_model(size_in: int = 4, size_out: int = 3, batch: int | str = "batch"):
    """One dense layer without anything after it."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(size_in, size_out)).astype(np.float32),
        "b": rng.normal(size=size_out).astype(np.float32),
    }
    dense = node("Gemm", ["x", "w", "b"], ["y"], name="dense")
    outputs = [value("y", [batch, size_out])]
    return make_model([dense], {"x": [batch, size_in]}, outputs, weights)


def plugin(op_type: str, versions: Sequence[int] = (1,), *, numpy_op: Any = None, **options: Any):
    """An operator of the domain `test` (or another), by default the identity."""
    options.setdefault("domain", "test")
    fields = ("domain", "kind", "attribute_defaults", "counts_outputs")
    schema = {name: options.pop(name) for name in fields if name in options}
    return OpPlugin(
        OpSchema(op_type, tuple(versions), **schema),
        numpy_op or (lambda *tensors, **attributes: tensors[:1]),
        **options,
    )


def loaded(name: str, provides: OpPlugin) -> LoadedPlugin:
    return LoadedPlugin(name, provides=provides)


def registry_with(**plugins: OpPlugin) -> OpRegistry:
    """The installed operators and these, by the name of their module."""
    own = [loaded(name, provides) for name, provides in plugins.items()]
    return OpRegistry.from_plugins([*default_registry().plugins, *own])
