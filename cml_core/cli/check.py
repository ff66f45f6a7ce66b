"""`cml check`: whether a model can be run and quantized, and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.check_proposals import for_float_only, for_missing
from cml_core.cli.failures import say_error
from cml_core.cli.terminal import show_json, show_text

if TYPE_CHECKING:
    from cml_core.errors import UnsupportedNode
    from cml_core.graph.bind import BoundGraph, BoundNode
    from cml_core.graph.model import Graph
    from cml_core.plugins.registry import OpRegistry

__all__ = ["check"]


def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a model can be run and quantized; exit with status 1 if not."""
    from cml_core.graph.load import load_graph
    from cml_core.plugins.registry import default_registry

    graph = load_graph(model, default_registry().serves)
    report = _examine(graph)
    if as_json:
        show_json({"model": str(model), **report})
    else:
        _print_report(graph, report)
    if not report["quantizable"]:
        nodes = report["nodes"]
        what = "quantized" if report["runnable"] else "run"
        count = f"{len(nodes)} of {len(graph.nodes)} nodes"
        stand = "stands" if len(nodes) == 1 else "stand"
        say_error(f"{model} cannot be {what}: {count} {stand} in the way.")
        raise typer.Exit(1)


def _examine(graph: Graph) -> dict[str, Any]:
    """The report as plain data, without the model's name."""
    from cml_core.errors import NodeError
    from cml_core.graph.bind import bind, find_unsupported
    from cml_core.plugins.registry import default_registry
    from cml_core.quantization.tail import split_tail
    from cml_core.quantization.unquantized import find_unquantized

    registry = default_registry()
    unsupported = find_unsupported(graph, registry)
    if unsupported:
        nodes = [_obstacle(node, "float") for node in unsupported]
        return _report(nodes, proposals=for_missing(unsupported, graph, registry))
    try:
        bound = bind(graph, registry)
    except NodeError as error:  # A node on constants, computed once and for all, failed.
        operator, reason, hint = error.op_type, error.reason, error.hint
        row = {"node": error.node, "operator": operator, "reason": reason, "hint": hint}
        return _report([{**row, "stage": "float"}])
    split = split_tail(bound, client_tail=True)
    unquantized = find_unquantized(bound, split) or _unwritten(bound, registry)
    server = [n for n in split.server if split.encrypted.intersection(n.node.outputs)]
    return _report(
        [_obstacle(node, "quantized") for node in unquantized],
        [_restriction(node) for node in server if node.plugin.restrictions],
        {"encrypted_nodes": len(server), "client_nodes": len(split.tail)},
        for_float_only([n for n in server if not n.plugin.quantized], registry),
    )


def _unwritten(bound: BoundGraph, registry: OpRegistry) -> tuple[UnsupportedNode, ...]:
    """The node whose body cannot be written out, or the nodes that stand in the way then."""
    from cml_core.errors import InvalidModelError, NodeError, UnsupportedNode, UnsupportedNodesError
    from cml_core.numpy_module import NumpyModule
    from cml_core.quantization.tail import split_tail
    from cml_core.quantization.unquantized import find_unquantized

    bodies = [n for n in bound.nodes if n.plugin.body and not n.plugin.quantized_op]
    if not bodies:
        return ()
    try:
        written = NumpyModule(bound, registry).expanded.graph
    except NodeError as error:
        return (UnsupportedNode(error.node, "", error.op_type, error.reason, error.hint),)
    except UnsupportedNodesError as error:
        return error.nodes
    except InvalidModelError as error:
        faults = "; ".join(error.faults)
        first = bodies[0]
        reason = f"its body, or that of a node after it, is not valid: {faults}"
        return (UnsupportedNode(first.name, first.key.domain, first.key.op_type, reason),)
    return find_unquantized(written, split_tail(written, client_tail=True))


def _report(
    nodes: list[dict[str, str]],
    restrictions: list[dict[str, str]] | None = None,
    counts: dict[str, int] | None = None,
    proposals: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "runnable": not any(node["stage"] == "float" for node in nodes),
        "quantizable": not nodes,
        "nodes": nodes,
        "proposals": proposals or [],
        "restrictions": restrictions or [],
        **(counts or {}),
    }


def _obstacle(node: UnsupportedNode, stage: str) -> dict[str, str]:
    return {
        "node": node.node,
        "operator": node.operator,
        "reason": node.reason,
        "hint": node.hint,
        "stage": stage,
    }


def _restriction(bound: BoundNode) -> dict[str, str]:
    key = bound.key
    return {
        "node": bound.name,
        "operator": f"{key.domain}.{key.op_type}" if key.domain else key.op_type,
        "restrictions": bound.plugin.restrictions,
    }


def _print_report(graph: Graph, report: dict[str, Any]) -> None:
    count = len(graph.nodes)
    show_text(f"{graph.source}: {count} node{'' if count == 1 else 's'}")
    show_text(f"float: {'yes' if report['runnable'] else 'no'}")
    if report["quantizable"]:
        show_text(
            f"quantized: yes, {report['encrypted_nodes']} nodes on encrypted data, "
            f"{report['client_nodes']} by the client after decryption"
        )
    else:
        show_text("quantized: no")
    if report["nodes"]:
        show_text("in the way:")
    told = {proposal["operator"] for proposal in report["proposals"]}
    for node in report["nodes"]:
        # What helps is said once for each operator, where it is known for the operator.
        hint = f" {node['hint']}" if node["hint"] and node["operator"] not in told else ""
        show_text(f"  - node {node['node']!r} ({node['operator']}): {node['reason']}.{hint}")
    if report["proposals"]:
        show_text("what would help:")
    for proposal in report["proposals"]:
        show_text(f"  {proposal['operator']}:")
        for sentence in proposal["proposals"]:
            show_text(f"  - {sentence}")
    if report["restrictions"]:
        show_text("quantized with restrictions:")
    for node in report["restrictions"]:
        show_text(f"  - node {node['node']!r} ({node['operator']}): {node['restrictions']}")
