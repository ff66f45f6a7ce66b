"""The single loop over a graph.

Float execution, calibration and lowering differ only in what they do at one node; the loop knows
no operator. Its idea follows JAX's `autodidax`: an operation is a name with rules attached, an
interpreter is a short loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cml_core.graph.bound import BoundNode

__all__ = ["interpret", "last_uses"]


def last_uses(nodes: Iterable[BoundNode], keep: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """For each node, the tensors that nothing needs after it."""
    nodes = tuple(nodes)
    seen = set(keep) | {""}
    dead: list[tuple[str, ...]] = []
    for bound in reversed(nodes):
        names = dict.fromkeys((*bound.node.inputs, *bound.node.outputs))
        dead.append(tuple(name for name in names if name not in seen))
        seen.update(names)
    return tuple(reversed(dead))


def interpret(
    nodes: Iterable[BoundNode],
    values: Mapping[str, Any],
    outputs: Iterable[str],
    evaluate: Callable[[BoundNode, tuple[Any, ...]], tuple[Any, ...]],
    dead: Iterable[tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Walk bound nodes in order, giving each its inputs and keeping its outputs by name.

    Parameters
    ----------
    nodes : iterable of BoundNode
        In topological order.
    values : mapping
        What is known at the start: constants and model inputs.
    outputs : iterable of str
        Names of the tensors to return.
    evaluate : callable
        `evaluate(bound_node, inputs) -> outputs`, the rule of this interpretation.
    dead : iterable of tuple of str, optional
        What `last_uses` says; tensors are dropped after their last use.
    """
    nodes, outputs = tuple(nodes), tuple(outputs)
    env: dict[str, Any] = {**values, "": None}
    for bound, unused in zip(nodes, dead or last_uses(nodes, outputs), strict=True):
        node = bound.node
        # A list comprehension and no call where there is one output: this loop is what a small
        # model spends its time in.
        results = evaluate(bound, tuple([env[name] for name in node.inputs]))
        if len(node.outputs) == 1:
            env[node.outputs[0]] = results[0]
        else:
            env.update(zip(node.outputs, results, strict=False))
        env[""] = None
        for name in unused:
            env.pop(name, None)
        # Otherwise an output that nothing uses would live on while the next node runs.
        del results
    return {name: env[name] for name in outputs}
