"""Binding: every node of a graph tied to its operator plugin, constants folded."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.errors import CmlError, NodeError, UnsupportedNode, UnsupportedNodesError
from cml_core.graph.attributes import is_deterministic, schema_defaults, schema_faults
from cml_core.graph.model import Graph, Node, TensorSpec
from cml_core.ops.schema import OpKey
from cml_core.plugins.registry import OpRegistry, RegisteredOp

__all__ = ["BoundGraph", "BoundNode", "bind", "find_unsupported", "run_numpy_op"]


@attrs.frozen(slots=True, eq=False, repr=False)
class BoundNode:
    """A node, the plugin that serves it, and its attributes with the schema's defaults.

    Parameters
    ----------
    node : Node
        The node of the graph.
    key : OpKey
        Operator revision in force.
    registered : RegisteredOp
        The plugin.
    attributes : mapping
        Stated attributes and defaults; None for an optional one without default.
    """

    node: Node
    key: OpKey
    registered: RegisteredOp
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def plugin(self) -> Any:
        """The operator plugin."""
        return self.registered.plugin


@attrs.frozen(slots=True, eq=False, repr=False)
class BoundGraph:
    """A graph ready to be interpreted.

    Parameters
    ----------
    graph : Graph
        What was bound.
    nodes : tuple of BoundNode
        The nodes that depend on the model's inputs, in topological order.
    constants : mapping of str to array
        Initializers and what was folded from them, as far as `nodes` and outputs use them.
    """

    graph: Graph
    nodes: tuple[BoundNode, ...]
    constants: Mapping[str, np.ndarray]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's inputs."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's outputs."""
        return self.graph.outputs


def run_numpy_op(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compute a node on clear arrays with its plugin's float reference.

    Raises
    ------
    NodeError
        The operator failed; the error names the node and quotes the reason.
    """
    try:
        with np.errstate(all="ignore"):
            results = bound.plugin.numpy_op(*tensors, **bound.attributes)
        return _checked(bound, results)
    except NodeError:
        raise
    except CmlError as error:
        raise NodeError(bound.name, bound.key.op_type, error.message().rstrip(".")) from error
    except Exception as error:
        shapes = ", ".join(
            "none" if t is None else f"{getattr(t, 'dtype', '?')}{getattr(t, 'shape', '')}"
            for t in tensors
        )
        reason = f"{str(error).rstrip('.') or type(error).__name__} (inputs: {shapes})"
        raise NodeError(bound.name, bound.key.op_type, reason) from error


def _checked(bound: BoundNode, results: Any) -> tuple[Any, ...]:
    """Make NumPy scalars arrays, and refuse what cannot be the node's outputs."""
    wanted = len(bound.node.outputs)
    while wanted and not bound.node.outputs[wanted - 1]:
        wanted -= 1
    name = bound.registered.name
    if not isinstance(results, tuple):
        raise TypeError(f"plugin {name!r} returned {type(results).__name__}, not a tuple")
    if len(results) < wanted:
        raise ValueError(
            f"plugin {name!r} returned {len(results)} outputs, and the node has {wanted}"
        )
    return tuple(np.asarray(r) if isinstance(r, np.generic) else r for r in results)


def find_unsupported(graph: Graph, registry: OpRegistry) -> tuple[UnsupportedNode, ...]:
    """Every node that no plugin can serve, with the reason and what would help."""
    found = []
    for node in graph.nodes:
        resolved = registry.resolve(node.domain, node.op_type, node.opset)
        if resolved is None:
            found.append(registry.explain_missing(node.name, node.domain, node.op_type, node.opset))
            continue
        faults = schema_faults(resolved[0], node.attributes, len(node.inputs), len(node.outputs))
        if faults:
            found.append(UnsupportedNode(node.name, node.domain, node.op_type, "; ".join(faults)))
    return tuple(found)


def bind(graph: Graph, registry: OpRegistry) -> BoundGraph:
    """Tie every node to its plugin and fold what depends on constants alone.

    Raises
    ------
    UnsupportedNodesError
        Some nodes have no plugin; all of them are listed.
    NodeError
        A constant node cannot be computed.
    """
    unsupported = find_unsupported(graph, registry)
    if unsupported:
        raise UnsupportedNodesError(graph.source, unsupported)
    constants: dict[str, np.ndarray] = dict(graph.initializers)
    nodes: list[BoundNode] = []
    for node in graph.nodes:
        key, registered = registry.resolve(node.domain, node.op_type, node.opset)  # type: ignore[misc]
        attributes = {
            **registered.plugin.schema.attribute_defaults,
            **schema_defaults(key),
            **node.attributes,
        }
        if registered.plugin.schema.counts_outputs:
            attributes["n_outputs"] = len(node.outputs)
        bound = BoundNode(node, key, registered, MappingProxyType(attributes))
        if all(name in constants for name in node.inputs if name) and is_deterministic(key):
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


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.flags.owndata:
        value.flags.writeable = False
    return value
