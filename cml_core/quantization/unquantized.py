"""Nodes that no circuit can compute, and why."""

from __future__ import annotations

from cml_core.errors import UnsupportedNode
from cml_core.graph.bound import BoundGraph, BoundNode
from cml_core.quantization.tail import Split

__all__ = ["find_unquantized"]


def find_unquantized(graph: BoundGraph, split: Split) -> tuple[UnsupportedNode, ...]:
    """Every node of the server's part that no circuit can compute."""
    found = ((bound, _obstacle(bound, split)) for bound in split.server)
    return tuple(
        UnsupportedNode(bound.name, bound.key.domain, bound.key.op_type, *obstacle)
        for bound, obstacle in found
        if obstacle
    )


def _obstacle(bound: BoundNode, split: Split) -> tuple[str, str] | None:
    """Why a node cannot be computed, and what would help; None if it can."""
    if bound.plugin.quantized:
        return None
    if not split.encrypted.intersection(bound.node.outputs):
        if bound.is_deterministic or bound.attributes.get("seed") is not None:
            return None
        return (
            "it draws other numbers each time, and a circuit is the same each time",
            "Give it a seed, or make its result a constant of the model.",
        )
    return (
        f"plugin {bound.registered.name!r} provides it in float only",
        "Only what follows the model's last linear operation may stay in float."
        if bound.plugin.tail
        else "Replace it in the model, or install a plugin with a quantized form.",
    )
