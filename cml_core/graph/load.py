"""Reading an ONNX model into a Graph, with all its faults reported together."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import google.protobuf.message
import numpy as np
import onnx
import onnx.defs

from cml_core.errors import InvalidModelError, ModelFileError
from cml_core.graph.attributes import decode_attribute, decode_tensor, numpy_dtype
from cml_core.graph.model import Dimension, Graph, Node, TensorSpec
from cml_core.ops.schema import normalize_domain

__all__ = ["OLDEST_OPSET", "load_graph"]

#: The oldest opset of ai.onnx that cml reads; models before it used other broadcasting rules.
OLDEST_OPSET = 7


def load_graph(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> Graph:
    """Read a model.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        An ONNX file, its content, or the parsed model.

    Raises
    ------
    ModelFileError
        There is no such file, or it is not an ONNX model.
    InvalidModelError
        The model breaks the rules of ONNX; every fault is listed.
    """
    if isinstance(model, onnx.ModelProto):
        return _Reader(model, "the model", None).read()
    if isinstance(model, bytes):
        return _Reader(_parse(model, "the model"), "the model", None).read()
    try:
        path = Path(model)
    except TypeError:
        raise ModelFileError(
            f"a {type(model).__name__}",
            "it is neither a path, nor bytes, nor an onnx.ModelProto",
            "Export the model to ONNX first.",
        ) from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(str(path), error.strerror or str(error)) from error
    return _Reader(_parse(content, str(path)), str(path), path.parent).read()


def _parse(content: bytes, source: str) -> onnx.ModelProto:
    if not content:
        raise ModelFileError(source, "it is empty")
    try:
        model = onnx.load_model_from_string(content)
    except google.protobuf.message.DecodeError:
        raise ModelFileError(
            source,
            "it is truncated or not an ONNX file",
            "Write it again with onnx.save or the exporter it came from.",
        ) from None
    if not model.HasField("graph") or not model.opset_import:
        raise ModelFileError(
            source, "it holds no ONNX graph", "Was it written by an ONNX exporter?"
        )
    return model


@attrs.define(eq=False)
class _Reader:
    """One reading of a model; gathers faults as it goes."""

    model: onnx.ModelProto
    source: str
    base_dir: Path | None
    faults: list[str] = attrs.field(factory=list, init=False)

    def read(self) -> Graph:
        graph = self.model.graph
        opsets = self._opsets()
        initializers = self._initializers()
        nodes = [self._node(index, proto, opsets) for index, proto in enumerate(graph.node)]
        nodes = self._unique_names(nodes)
        inputs = tuple(self._spec(v) for v in graph.input if v.name not in initializers)
        outputs = tuple(self._spec(v) for v in graph.output)
        self._check_names(inputs, outputs, initializers, nodes)
        ordered = nodes if self.faults else self._order(nodes)
        if self.faults:
            raise InvalidModelError(self.source, tuple(self.faults))
        return Graph(
            self.source, inputs, outputs, tuple(ordered), MappingProxyType(initializers), self.model
        )

    def _opsets(self) -> dict[str, int]:
        opsets: dict[str, int] = {}
        newest = onnx.defs.onnx_opset_version()
        for item in self.model.opset_import:
            domain = normalize_domain(item.domain)
            opsets[domain] = item.version
            if domain == "" and not OLDEST_OPSET <= item.version <= newest:
                self.faults.append(
                    f"opset {item.version} of ai.onnx is not supported: the installed onnx "
                    f"{onnx.__version__} knows {OLDEST_OPSET} to {newest}; "
                    + (
                        "upgrade the onnx package or export at an older opset"
                        if item.version > newest
                        else "convert the model with onnx.version_converter"
                    )
                )
        return opsets

    def _initializers(self) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        graph = self.model.graph
        named: list[tuple[str, Any]] = [(tensor.name, tensor) for tensor in graph.initializer]
        named += [(sparse.values.name, sparse) for sparse in graph.sparse_initializer]
        for name, proto in named:
            if name in values:
                self.faults.append(f"initializer {name!r} is defined twice")
            attribute = onnx.AttributeProto(name=name)
            if isinstance(proto, onnx.TensorProto):
                attribute.type = onnx.AttributeProto.TENSOR
            try:
                values[name] = (
                    decode_tensor(proto, self.base_dir)
                    if isinstance(proto, onnx.TensorProto)
                    else decode_attribute(onnx.helper.make_attribute(name, proto), self.base_dir)
                )
            except Exception as error:
                self.faults.append(f"initializer {name!r} cannot be read: {_first_line(error)}")
        return values

    def _node(self, index: int, proto: onnx.NodeProto, opsets: dict[str, int]) -> Node:
        name = proto.name or f"{proto.op_type}_{index}"
        domain = normalize_domain(proto.domain)
        if domain not in opsets:
            self.faults.append(
                f"node {name!r} ({proto.op_type}) is of domain {domain or 'ai.onnx'!r}, "
                "for which the model imports no opset"
            )
        attributes: dict[str, Any] = {}
        for attribute in proto.attribute:
            if attribute.name in attributes:
                self.faults.append(f"node {name!r} states attribute {attribute.name!r} twice")
            try:
                attributes[attribute.name] = decode_attribute(attribute, self.base_dir)
            except Exception as error:
                self.faults.append(
                    f"attribute {attribute.name!r} of node {name!r} cannot be read: "
                    f"{_first_line(error)}"
                )
        return Node(
            name,
            domain,
            proto.op_type,
            opsets.get(domain, 0),
            tuple(proto.input),
            tuple(proto.output),
            MappingProxyType(attributes),
        )

    @staticmethod
    def _unique_names(nodes: list[Node]) -> list[Node]:
        taken: set[str] = set()
        unique = []
        for index, node in enumerate(nodes):
            if node.name in taken:
                node = attrs.evolve(node, name=f"{node.name}_{index}")
            taken.add(node.name)
            unique.append(node)
        return unique

    def _spec(self, value: onnx.ValueInfoProto) -> TensorSpec:
        kind = value.type.WhichOneof("value")
        if kind not in {"tensor_type", None}:
            return TensorSpec(value.name, None, None)
        tensor = value.type.tensor_type
        try:
            dtype = numpy_dtype(tensor.elem_type)
        except KeyError:
            self.faults.append(f"tensor {value.name!r} has unknown element type {tensor.elem_type}")
            dtype = None
        shape: tuple[Dimension, ...] | None = None
        if tensor.HasField("shape"):
            shape = tuple(
                dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
                for dim in tensor.shape.dim
            )
        return TensorSpec(value.name, dtype, shape)

    def _check_names(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        initializers: Iterable[str],
        nodes: list[Node],
    ) -> None:
        """Every tensor must be produced exactly once before anything may use it."""
        makers: dict[str, str] = dict.fromkeys(initializers, "an initializer")
        for spec in inputs:
            if spec.name in makers:
                self.faults.append(f"input {spec.name!r} is listed twice")
            makers[spec.name] = "a model input"
        for node in nodes:
            for name in filter(None, node.outputs):
                if name in makers:
                    self.faults.append(
                        f"tensor {name!r} is produced by node {node.name!r} "
                        f"and also by {makers[name]}"
                    )
                makers[name] = f"node {node.name!r}"
        for node in nodes:
            for name in filter(None, node.inputs):
                if name not in makers:
                    self.faults.append(
                        f"node {node.name!r} uses tensor {name!r}, which nothing produces"
                    )
        for spec in outputs:
            if spec.name not in makers:
                self.faults.append(f"nothing produces the model's output {spec.name!r}")
        if not outputs:
            self.faults.append("the model has no outputs")

    def _order(self, nodes: list[Node]) -> list[Node]:
        """Return the nodes in topological order: the file's own order where it already is one."""
        maker = {name: index for index, node in enumerate(nodes) for name in node.outputs if name}
        needs = {
            index: {maker[name] for name in _all_inputs(node) if name in maker}
            for index, node in enumerate(nodes)
        }
        if all(before < index for index, befores in needs.items() for before in befores):
            return nodes
        try:
            return [nodes[index] for index in graphlib.TopologicalSorter(needs).static_order()]
        except graphlib.CycleError as error:
            names = ", ".join(repr(nodes[index].name) for index in error.args[1])
            self.faults.append(f"the graph has a cycle through {names}")
            return nodes


def _all_inputs(node: Node) -> set[str]:
    """Tensors that a node needs: its inputs and what its subgraphs take from outside."""
    names = set(filter(None, node.inputs))
    for value in node.attributes.values():
        for graph in value if isinstance(value, tuple) else (value,):
            if isinstance(graph, onnx.GraphProto):
                names |= _outer_names(graph)
    return names


def _outer_names(graph: onnx.GraphProto) -> set[str]:
    used = {name for node in graph.node for name in node.input}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                used |= _outer_names(inner)
    used |= {value.name for value in graph.output}
    made = {name for node in graph.node for name in node.output}
    made |= {value.name for value in graph.input} | {t.name for t in graph.initializer}
    return used - made - {""}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
