"""Binding: every node of a graph tied to its operator plugin, constants folded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.errors import NodeError, UnsupportedNode, UnsupportedNodesError
from cml_core.graph.attributes import schema_defaults, schema_faults
from cml_core.graph.bound import BoundGraph, BoundNode, EnclosingGraph, Subgraph, run_numpy_op
from cml_core.graph.model import Graph, Node
from cml_core.ops.plugin import UNKNOWN
from cml_core.ops.schema import OpKey
from cml_core.plugins.op_checks import call_faults
from cml_core.plugins.registry import OpRegistry, RegisteredOp

__all__ = ["BoundGraph", "BoundNode", "bind", "find_unsupported", "run_numpy_op"]


def find_unsupported(graph: Graph, registry: OpRegistry) -> tuple[UnsupportedNode, ...]:
    """Every node that no plugin can serve, with the reason and what would help."""
    found = []
    for node in graph.nodes:
        resolved = registry.resolve(node.domain, node.op_type, node.opset)
        if resolved is None:
            found.append(registry.explain_missing(node.name, node.domain, node.op_type, node.opset))
            continue
        counts = len(node.stated_inputs), len(node.outputs)
        key, entry = resolved
        faults = schema_faults(key, node.attributes, *counts)
        faults += call_faults(entry.plugin, key, node.attributes, counts[0])
        if faults:
            found.append(UnsupportedNode(node.name, node.domain, node.op_type, "; ".join(faults)))
        for inner in node.subgraphs.values():
            found += [
                attrs.evolve(each, node=f"{node.name}/{each.node}")
                for each in find_unsupported(inner, registry)
            ]
    return tuple(found)


def bind(graph: Graph, registry: OpRegistry) -> BoundGraph:
    """Tie every node to its plugin and fold what depends on constants alone.

    Raises
    ------
    UnsupportedNodesError
        Some nodes have no plugin; all of them are listed.
    NodeError
        A constant node cannot be computed, or what is done once per model fails.
    """
    unsupported = find_unsupported(graph, registry)
    if unsupported:
        raise UnsupportedNodesError(graph.source, unsupported)
    return _bind(graph, registry, {})


def _bind(graph: Graph, registry: OpRegistry, outer: Mapping[str, np.ndarray]) -> BoundGraph:
    """Bind a graph; of the tensors around it, some are constants."""
    constants: dict[str, Any] = {**outer, **graph.initializers}
    nodes: list[BoundNode] = []
    around = EnclosingGraph(constants=constants)
    for node in graph.nodes:
        constant = all(name in constants for name in node.inputs if name)
        bound = _bind_node(node, registry, around, prepare=not constant)
        around.nodes.append(bound)
        if constant and bound.is_deterministic and not bound.plugin.schema.sees_graph:
            tensors = tuple(constants[name] if name else None for name in node.inputs)
            for name, value in zip(node.outputs, run_numpy_op(bound, tensors), strict=False):
                if name:
                    constants[name] = _freeze(value)
        else:
            nodes.append(bound)
    used = {name for bound in nodes for name in bound.node.inputs}
    used |= {spec.name for spec in graph.outputs}
    kept = {name: value for name, value in constants.items() if name in used}
    return BoundGraph(graph, tuple(nodes), MappingProxyType(kept))


def _bind_node(
    node: Node, registry: OpRegistry, around: EnclosingGraph, *, prepare: bool
) -> BoundNode:
    constants = around.constants
    key, registered = registry.resolve(node.domain, node.op_type, node.opset)  # type: ignore[misc]
    stated: dict[str, Any] = {
        **registered.plugin.schema.attribute_defaults,
        **schema_defaults(key),
        **node.attributes,
    }
    if registered.plugin.schema.counts_outputs:
        stated["n_outputs"] = len(node.outputs)
    if registered.plugin.schema.sees_graph:
        stated["graph"] = around
    captured = node.inputs[len(node.stated_inputs) :]
    outer = {name: constants[name] for name in captured if name in constants}
    for name, graph in node.subgraphs.items():
        stated[name] = Subgraph(_bind(_named_within(graph, node), registry, outer))
    attributes = MappingProxyType(stated)
    function = _prepared(node, key, registered, attributes, constants) if prepare else None
    if node.subgraphs:
        function = _with_captures(registered.plugin.numpy_op, attributes, node)
    elif function is None:
        function = functools.partial(registered.plugin.numpy_op, **attributes)
    return BoundNode(node, key, registered, attributes, function)


def _prepared(
    node: Node,
    key: OpKey,
    registered: RegisteredOp,
    attributes: Mapping[str, Any],
    constants: Mapping[str, Any],
) -> Callable[..., tuple[Any, ...]] | None:
    """What the plugin makes of a node's constants and attributes once per model."""
    prepare = registered.plugin.prepare
    if prepare is None:
        return None
    known = [constants.get(name, UNKNOWN) if name else None for name in node.inputs]
    try:
        with np.errstate(all="ignore"):
            return prepare(*known, **attributes)
    except (Exception, SystemExit) as error:
        reason = f"it cannot be prepared: {error}".rstrip(".")
        raise NodeError(node.name, key.op_type, reason) from error


def _with_captures(
    numpy_op: Callable[..., tuple[Any, ...]], attributes: Mapping[str, Any], node: Node
) -> Callable[..., tuple[Any, ...]]:
    """A function of a node's inputs, whose subgraphs see those that they take from outside."""
    stated = len(node.stated_inputs)
    names = node.inputs[stated:]

    def function(*tensors: Any) -> tuple[Any, ...]:
        captured = dict(zip(names, tensors[stated:], strict=True))
        graphs = {
            name: attrs.evolve(attributes[name], captured=captured) for name in node.subgraphs
        }
        return numpy_op(*tensors[:stated], **{**attributes, **graphs})

    return function


def _named_within(graph: Graph, node: Node) -> Graph:
    """A graph whose nodes bear the name of the node that it is an attribute of."""
    nodes = tuple(attrs.evolve(inner, name=f"{node.name}/{inner.name}") for inner in graph.nodes)
    return attrs.evolve(graph, nodes=nodes)


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.flags.owndata:
        value.flags.writeable = False
    return value
