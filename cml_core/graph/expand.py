"""Expansion: nodes whose plugins have a body are replaced by it before a model is quantized."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import helper

from cml_core.errors import NodeError
from cml_core.graph.bound import BoundGraph, BoundNode
from cml_core.graph.writer import GraphWriter

__all__ = ["expand"]

#: How often an operator may be written out within bodies of itself: one that works down an axis
#: or a list comes to an end before that, whatever it is made of.
_NESTED = 16
#: The same where a level has so many bodies that the next ones would take minutes.
_NESTED_WIDE, _WIDE = 8, 500
#: A level of the name that a node of a body gets.
_LEVEL = re.compile(r"(\w+)_\d+")
#: The opset of ai.onnx that bodies are written in where the model imports none.
_OPSET = 18


def expand(graph: BoundGraph, *, every: bool = False) -> onnx.ModelProto | None:
    """Return the model with bodies written out once; None if there are none.

    Parameters
    ----------
    graph : BoundGraph
        The model.
    every : bool
        Whether nodes that have a quantized form of their own are written out too.

    Raises
    ------
    NodeError
        A body cannot be written, or it uses its own operator without end.
    """
    bodies = {
        bound.node.outputs: bound
        for bound in graph.nodes
        if bound.plugin.body is not None and (every or bound.plugin.quantized_op is None)
    }
    if not bodies:
        return None
    if not every:
        limit = _NESTED if len(bodies) < _WIDE else _NESTED_WIDE
        for each in bodies.values():
            _refuse_endless(each, limit)
    model = onnx.ModelProto()
    model.CopyFrom(graph.graph.onnx_model)
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset = max(versions, default=_OPSET)
    if not versions:
        model.opset_import.append(helper.make_opsetid("", opset))
    protos = list(model.graph.node)
    taken = {name for proto in protos for name in (*proto.input, *proto.output)}
    taken |= {value.name for value in (*model.graph.input, *model.graph.output)}
    del model.graph.node[:]
    domains = {opset.domain for opset in model.opset_import}
    for proto in protos:
        bound = bodies.get(tuple(proto.output))
        if bound is None:
            model.graph.node.append(proto)
            continue
        writer = _written(bound, opset, taken)
        if not every and any(_use(node) == _use(proto) for node in writer.nodes):
            raise _endless(bound, [bound.key.op_type])
        model.graph.node.extend(writer.nodes)
        model.graph.initializer.extend(writer.constants)
        for domain in sorted({node.domain for node in writer.nodes} - domains):
            model.opset_import.append(helper.make_opsetid(domain, bound.node.opset))
            domains.add(domain)
    return model


def _written(bound: BoundNode, opset: int, taken: Iterable[str]) -> GraphWriter:
    """The nodes of a body; they give the node's outputs under their own names."""
    prefix = f"{bound.name}/"
    while any(name.startswith(prefix) for name in taken):
        prefix = f"_{prefix}"
    writer = GraphWriter(prefix, opset)
    inputs = [name or None for name in bound.node.inputs]
    try:
        results = bound.plugin.body(writer, *inputs, **bound.attributes)
    except (Exception, SystemExit) as error:
        reason = f"its body cannot be written: {_said(error)}".rstrip(".")
        raise NodeError(bound.name, bound.key.op_type, reason) from error
    for result, name in zip(results, bound.node.outputs, strict=False):
        if name:
            writer.add("Identity", result, name=name)
    writer.nodes[:] = _needed(writer.nodes, bound.node.outputs)
    for index, node in enumerate(writer.nodes):
        node.name = f"{prefix}{node.op_type}_{index}"
    return writer


def _said(error: BaseException) -> str:
    return f"SystemExit: {error}" if isinstance(error, SystemExit) else str(error)


def _use(node: onnx.NodeProto) -> tuple[Any, ...]:
    """What a body is written from, but for names."""
    stated = {a.name: a.SerializeToString(deterministic=True) for a in node.attribute}
    given = [bool(name) for name in node.input]
    return node.domain, node.op_type, stated, given, len(node.output)


def _refuse_endless(bound: BoundNode, limit: int) -> None:
    """Refuse a body that has been written within itself too often; the name says how often."""
    around = []
    for level in reversed(bound.name.split("/")):
        found = _LEVEL.fullmatch(level)
        if not found:
            break
        around.append(found[1])
    mine = bound.key.op_type
    if Counter(around)[mine] > limit:
        raise _endless(bound, around[: around.index(mine, 1)][::-1])


def _endless(bound: BoundNode, operators: Sequence[str]) -> NodeError:
    *others, mine = operators
    by_way = f" by way of {', '.join(others)}" if others else ""
    return NodeError(
        bound.name,
        bound.key.op_type,
        f"its body uses {mine} itself{by_way}, and so is never written out",
        "Write it with operators that do not come back to it.",
    )


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that some outputs depend on."""
    wanted = set(filter(None, outputs))
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]
