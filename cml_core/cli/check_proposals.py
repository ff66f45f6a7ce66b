"""What `cml check` proposes for a missing operator: plugins that nearly serve it, or a new one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cml_core.errors import UnsupportedNode
    from cml_core.graph.bind import BoundNode
    from cml_core.graph.model import Graph, Node
    from cml_core.plugins.registry import OpRegistry

__all__ = ["for_float_only", "for_missing"]

_GUIDE = "see docs/add-an-operator.md"


def for_missing(
    nodes: tuple[UnsupportedNode, ...], graph: Graph, registry: OpRegistry
) -> list[dict[str, Any]]:
    """For each operator that nothing serves: which plugins nearly do, and how to write one."""
    from cml_core.plugins.explain import absent_by_name, remedies
    from cml_core.plugins.onnx_schemas import knows_domain, revision_at

    opsets = {(n.domain, n.op_type): n.opset for n in _all_nodes(graph)}
    found = []
    for domain, op_type in dict.fromkeys((node.domain, node.op_type) for node in nodes):
        opset = opsets[domain, op_type]
        if registry.serves(domain, op_type, opset):
            continue  # It is this use of the operator that is wrong.
        helpful = list(remedies(registry, domain, op_type, opset))
        exists = not knows_domain(domain) or revision_at(domain, op_type, opset) is not None
        if exists and not absent_by_name(registry, op_type):
            helpful.append(_start_command(op_type, domain))
        found.append(_proposal(domain, op_type, helpful))
    return found


def for_float_only(nodes: list[BoundNode], registry: OpRegistry) -> list[dict[str, Any]]:
    """For each operator that is there in float only: whence a quantized form might come."""
    found = {}
    for bound in nodes:
        key = bound.key
        helpful = [
            f"Plugin {entry.name!r} has a quantized form of {key.op_type} of "
            f"{entry.plugin.schema.domain or 'ai.onnx'}."
            for entry in registry
            if entry.plugin.schema.op_type == key.op_type
            and entry.plugin.schema.domain != key.domain
            and entry.plugin.quantized
        ]
        helpful += [
            f"Plugin {other.name!r} has a quantized form, and {bound.registered.name!r} is used "
            "in its place: block that with CML_DISABLE_PLUGINS."
            for other in registry.plugins
            if other.status == "loaded"
            and key in other.provides.schema.keys
            and other.provides.quantized
        ]
        helpful.append(
            f"Give plugin {bound.registered.name!r} a quantized form, or write a plugin with one "
            f"that overrides it: {_GUIDE}."
        )
        found[key.domain, key.op_type] = _proposal(key.domain, key.op_type, helpful)
    return list(found.values())


def _proposal(domain: str, op_type: str, helpful: list[str]) -> dict[str, Any]:
    operator = f"{domain}.{op_type}" if domain else op_type
    return {"operator": operator, "domain": domain, "op_type": op_type, "proposals": helpful}


def _all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the graphs within them."""
    for node in graph.nodes:
        yield node
        for inner in node.subgraphs.values():
            yield from _all_nodes(inner)


def _start_command(op_type: str, domain: str) -> str:
    """How to start a plugin for an operator."""
    options = f" --domain {shlex.quote(domain)}" if domain else ""
    return f"Start a plugin: cml ops new {shlex.quote(op_type)}{options} DIR"
