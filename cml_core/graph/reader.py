"""Reading one graph of an ONNX model, and the graphs inside its nodes."""

from __future__ import annotations

import collections
import graphlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import onnx

from cml_core.graph.attributes import (
    decode_attribute,
    decode_sparse,
    decode_tensor,
    numpy_dtype,
)
from cml_core.graph.model import Dimension, Graph, Node, TensorSpec
from cml_core.ops.schema import normalize_domain

__all__ = ["GraphReader", "first_line", "free_names"]


@attrs.define(eq=False)
class GraphReader:
    """One reading of a graph; gathers faults as it goes.

    Parameters
    ----------
    proto : onnx.GraphProto
        The graph.
    model : onnx.ModelProto
        The model that it is part of.
    opsets : mapping of str to int
        Version of each domain that the model imports.
    source : str
        Where the model came from, for messages.
    base_dir : Path or None
        Where external data may lie.
    place : str
        What the graph is within the model, empty for the model's own.
    outer : frozenset of str
        Tensors of the graphs around it.
    """

    proto: onnx.GraphProto
    model: onnx.ModelProto
    opsets: Mapping[str, int]
    source: str
    base_dir: Path | None = None
    place: str = ""
    outer: frozenset[str] = frozenset()
    faults: list[str] = attrs.field(factory=list, init=False)

    # Each step notes the faults it meets and goes on with what is left, so that one reading
    # finds them all.

    def read(self) -> Graph:
        """The graph, as far as it could be read; `faults` says what is wrong with it."""
        initializers = self._initializers()
        visible = self.outer | set(initializers) | {value.name for value in self.proto.input}
        visible |= {name for node in self.proto.node for name in node.output} - {""}
        nodes = [
            self._node(index, proto, visible, self._node_name(index, proto))
            for index, proto in enumerate(self.proto.node)
        ]
        nodes = self._unique_names(nodes)
        inputs = tuple(self._spec(v) for v in self.proto.input if v.name not in initializers)
        outputs = tuple(self._spec(v) for v in self.proto.output)
        self._check_names(inputs, outputs, initializers, nodes)
        ordered = tuple(self._order(nodes))
        constants = {name: value for name, value in initializers.items() if value is not None}
        return Graph(self.source, inputs, outputs, ordered, MappingProxyType(constants), self.model)

    def _fault(self, text: str) -> None:
        self.faults.append(f"in {self.place}: {text}" if self.place else text)

    def _initializers(self) -> dict[str, np.ndarray | None]:
        """Arrays by name, None for those that cannot be read."""
        values: dict[str, np.ndarray | None] = {}
        named: list[tuple[str, Any]] = [(tensor.name, tensor) for tensor in self.proto.initializer]
        named += [(sparse.values.name, sparse) for sparse in self.proto.sparse_initializer]
        for name, proto in named:
            if not name:
                self._fault("an initializer has no name")
            if name in values:
                self._fault(f"initializer {name!r} is defined twice")
            values[name] = None
            decode: Any = decode_tensor if isinstance(proto, onnx.TensorProto) else decode_sparse
            try:
                values[name] = decode(proto, self.base_dir)
            except Exception as error:
                self._fault(f"initializer {name!r} cannot be read: {first_line(error)}")
        return values

    @staticmethod
    def _node_name(index: int, proto: onnx.NodeProto) -> str:
        return proto.name or f"{proto.op_type}_{index}"

    def _node(
        self, index: int, proto: onnx.NodeProto, visible: frozenset[str] | set[str], name: str
    ) -> Node:
        domain = normalize_domain(proto.domain)
        if domain not in self.opsets:
            self._fault(
                f"node {name!r} ({proto.op_type}) is of domain {domain or 'ai.onnx'!r}, "
                "for which the model imports no opset"
            )
        attributes: dict[str, Any] = {}
        subgraphs: dict[str, Graph] = {}
        captures: set[str] = set()
        for attribute in proto.attribute:
            if attribute.name in attributes:
                self._fault(f"node {name!r} states attribute {attribute.name!r} twice")
            try:
                attributes[attribute.name] = decode_attribute(attribute, self.base_dir)
            except Exception as error:
                self._fault(
                    f"attribute {attribute.name!r} of node {name!r} cannot be read: "
                    f"{first_line(error)}"
                )
            if attribute.type == onnx.AttributeProto.GRAPH:
                place = f"graph {attribute.name!r} of node {name!r}"
                subgraphs[attribute.name] = self._subgraph(attribute.g, visible, place)
                captures |= free_names(attribute.g) & visible
        return Node(
            proto.name,
            domain,
            proto.op_type,
            self.opsets.get(domain, 0),
            (*proto.input, *sorted(captures)),
            tuple(proto.output),
            MappingProxyType(attributes),
            MappingProxyType(subgraphs),
            len(captures),
        )

    def _subgraph(self, proto: onnx.GraphProto, visible: Iterable[str], place: str) -> Graph:
        reader = GraphReader(
            proto,
            self.model,
            self.opsets,
            self.source,
            self.base_dir,
            f"{place} in {self.place}" if self.place else place,
            frozenset(visible),
        )
        graph = reader.read()
        self.faults += reader.faults
        return graph

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
        wraps: list[str] = []
        kind = value.type
        while (which := kind.WhichOneof("value")) in _WRAPPERS:
            wraps.append(_WRAPPERS[which])
            kind = getattr(kind, which).elem_type
        if which not in {"tensor_type", "sparse_tensor_type"}:
            # Maps, and sequences of them, are arrays of dicts.
            return TensorSpec(value.name, None, None)
        tensor = getattr(kind, which)
        try:
            dtype = numpy_dtype(tensor.elem_type)
        except KeyError:
            self._fault(f"tensor {value.name!r} has unknown element type {tensor.elem_type}")
            dtype = None
        shape: tuple[Dimension, ...] | None = None
        if tensor.HasField("shape"):
            shape = tuple(
                # Some exporters write -1, in figures or as text, or "?" for a size that is open.
                dim.dim_value
                if dim.HasField("dim_value") and dim.dim_value >= 0
                else _symbol(dim.dim_param)
                for dim in tensor.shape.dim
            )
        return TensorSpec(value.name, dtype, shape, tuple(wraps))

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
                self._fault(f"an {kind} of the model has no name")
            for name, count in counts.items():
                # A graph within a model may well give one tensor twice.
                if count > 1 and not (self.place and kind == "output"):
                    self._fault(f"{kind} {name!r} is listed twice")
        makers.update(dict.fromkeys((spec.name for spec in inputs), "a model input"))
        for node in nodes:
            for name in filter(None, node.outputs):
                if name in makers:
                    self._fault(
                        f"tensor {name!r} is produced by node {node.name!r} "
                        f"and also by {makers[name]}"
                    )
                makers[name] = f"node {node.name!r}"
        known = self.outer | set(makers)
        for node in nodes:
            for name in filter(None, node.stated_inputs):
                if name not in known:
                    self._fault(f"node {node.name!r} uses tensor {name!r}, which nothing produces")
        for spec in outputs:
            if spec.name and spec.name not in known:
                self._fault(f"nothing produces the model's output {spec.name!r}")
        if not outputs and not self.place:
            self._fault("the model has no outputs")

    def _order(self, nodes: list[Node]) -> list[Node]:
        """Return the nodes in topological order: the file's own order where it already is one."""
        maker = {name: index for index, node in enumerate(nodes) for name in node.outputs if name}
        needs = {
            index: {maker[name] for name in node.inputs if name in maker}
            for index, node in enumerate(nodes)
        }
        if all(before < index for index, befores in needs.items() for before in befores):
            return nodes
        try:
            return [nodes[index] for index in graphlib.TopologicalSorter(needs).static_order()]
        except graphlib.CycleError as error:
            names = ", ".join(repr(nodes[index].name) for index in error.args[1])
            self._fault(f"the graph has a cycle through {names}")
            return nodes


_WRAPPERS = {"sequence_type": "sequence", "optional_type": "optional"}


def free_names(graph: onnx.GraphProto) -> set[str]:
    """Tensors that a graph uses and does not make: it takes them from the graph around it."""
    used = {name for node in graph.node for name in node.input}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                used |= free_names(inner)
    used |= {value.name for value in graph.output}
    made = {name for node in graph.node for name in node.output}
    made |= {value.name for value in graph.input} | {t.name for t in graph.initializer}
    made |= {sparse.values.name for sparse in graph.sparse_initializer}
    return used - made - {""}


def first_line(error: Exception) -> str:
    """What an error of another library says, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _symbol(name: str | bytes) -> str | None:
    """The name of a size; None if it is none, or as good as none."""
    text = name.decode(errors="replace") if isinstance(name, bytes) else name
    return text if any(map(str.isalpha, text)) else None
