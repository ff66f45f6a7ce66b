"""Reading an ONNX model into a Graph, with all its faults reported together."""

from __future__ import annotations

import collections
import functools
import graphlib
import itertools
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
from cml_core.graph.attributes import (
    decode_attribute,
    decode_sparse,
    decode_tensor,
    numpy_dtype,
)
from cml_core.graph.model import Dimension, Graph, Node, TensorSpec
from cml_core.ops.schema import normalize_domain

__all__ = ["OLDEST_OPSET", "load_graph", "read_model"]

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
    return _Reader(read_model(path), str(path), path.parent).read()


def read_model(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file, whatever is in its graph; external data is left where it is.

    Raises
    ------
    ModelFileError
        There is no such file, or it is not an ONNX model.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(str(path), reason) from error
    return _parse(content, str(path))


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

    # Each step notes the faults it meets and goes on with what is left, so that one reading
    # finds them all.

    def read(self) -> Graph:
        graph = self.model.graph
        opsets = self._opsets()
        initializers = self._initializers()
        nodes = [self._node(index, proto, opsets) for index, proto in enumerate(graph.node)]
        nodes = self._unique_names(nodes)
        inputs = tuple(self._spec(v) for v in graph.input if v.name not in initializers)
        outputs = tuple(self._spec(v) for v in graph.output)
        self._check_names(inputs, outputs, initializers, nodes)
        ordered = tuple(self._order(nodes))
        if self.faults:
            raise InvalidModelError(self.source, tuple(self.faults))
        constants = {name: value for name, value in initializers.items() if value is not None}
        return Graph(self.source, inputs, outputs, ordered, MappingProxyType(constants), self.model)

    def _opsets(self) -> dict[str, int]:
        """Version by domain; those of domains that no node is of play no role."""
        opsets: dict[str, int] = {}
        used = {normalize_domain(node.domain) for node in self.model.graph.node}
        for item in self.model.opset_import:
            domain, version = normalize_domain(item.domain), item.version
            where = domain or "ai.onnx"
            if domain not in used:
                continue
            if opsets.get(domain, version) != version:
                self.faults.append(f"opsets {opsets[domain]} and {version} of {where} are imported")
            opsets[domain] = version
            oldest, newest = OLDEST_OPSET if domain == "" else 1, _newest_opset(domain)
            if version < oldest:
                self.faults.append(
                    f"opset {version} of {where} is not supported: cml reads {oldest} and newer; "
                    "convert the model with onnx.version_converter"
                )
            elif newest is not None and version > newest:
                self.faults.append(
                    f"opset {version} of {where} is not supported: the installed onnx "
                    f"{onnx.__version__} knows {oldest} to {newest}; "
                    "upgrade the onnx package or export at an older opset"
                )
        return opsets

    def _initializers(self) -> dict[str, np.ndarray | None]:
        """Arrays by name, None for those that cannot be read."""
        values: dict[str, np.ndarray | None] = {}
        graph = self.model.graph
        named: list[tuple[str, Any]] = [(tensor.name, tensor) for tensor in graph.initializer]
        named += [(sparse.values.name, sparse) for sparse in graph.sparse_initializer]
        for name, proto in named:
            if not name:
                self.faults.append("an initializer has no name")
            if name in values:
                self.faults.append(f"initializer {name!r} is defined twice")
            values[name] = None
            decode: Any = decode_tensor if isinstance(proto, onnx.TensorProto) else decode_sparse
            try:
                values[name] = decode(proto, self.base_dir)
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
            proto.name,
            domain,
            proto.op_type,
            opsets.get(domain, 0),
            tuple(proto.input),
            tuple(proto.output),
            MappingProxyType(attributes),
        )

    @staticmethod
    def _unique_names(nodes: list[Node]) -> list[Node]:
        """Give nodes without a name, and all but the first of several alike, names of their own."""
        taken = {node.name for node in nodes if node.name}
        kept: set[str] = set()
        unique = []
        for index, node in enumerate(nodes):
            name = node.name
            if not name or name in kept:
                stem = name = f"{name or node.op_type}_{index}"
                for number in itertools.count(2):
                    if name not in taken:
                        break
                    name = f"{stem}_{number}"
            taken.add(name)
            kept.add(name)
            unique.append(attrs.evolve(node, name=name))
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
                # Some exporters write -1 for a size that is open.
                dim.dim_value
                if dim.HasField("dim_value") and dim.dim_value >= 0
                else (dim.dim_param or None)
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
        for kind, specs in (("input", inputs), ("output", outputs)):
            counts = collections.Counter(spec.name for spec in specs)
            if "" in counts:
                self.faults.append(f"an {kind} of the model has no name")
            for name, count in counts.items():
                if count > 1:
                    self.faults.append(f"{kind} {name!r} is listed twice")
        makers.update(dict.fromkeys((spec.name for spec in inputs), "a model input"))
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
            if spec.name and spec.name not in makers:
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


@functools.cache
def _newest_opset(domain: str) -> int | None:
    """The newest opset of a domain that the onnx package knows; None if it knows none."""
    if domain == "":
        return int(onnx.defs.onnx_opset_version())
    schemas = onnx.defs.get_all_schemas_with_history()
    return max((int(s.since_version) for s in schemas if s.domain == domain), default=None)


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
