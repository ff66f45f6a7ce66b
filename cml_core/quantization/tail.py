"""The model's tail: what the client computes after decryption.

Nonlinear work that follows the last linear operation would cost bootstraps on the server and
costs nothing on the client, so it is left there unless the user says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cml_core.graph.bound import BoundGraph, BoundNode
from cml_core.ops.schema import OpKind

__all__ = ["Split", "extract_tail", "split_tail"]


@attrs.frozen(slots=True, eq=False)
class Split:
    """Which nodes the server computes, which the client, and what passes between them.

    Parameters
    ----------
    server, tail : tuple of BoundNode
        In topological order.
    boundary : tuple of str
        Tensors that the server returns: model outputs and inputs of the tail.
    encrypted : frozenset of str
        Tensors whose values depend on encrypted inputs.
    takes_shapes : bool
        Whether the tail is given something that follows from the shape of a sample, so that it
        must be computed sample by sample.
    """

    server: tuple[BoundNode, ...]
    tail: tuple[BoundNode, ...]
    boundary: tuple[str, ...]
    encrypted: frozenset[str]
    takes_shapes: bool = False


def split_tail(graph: BoundGraph, *, client_tail: bool) -> Split:
    """Divide a graph between server and client.

    A node goes to the client if nothing linear follows it and it either continues the tail or
    begins one: an elementwise operator on a single encrypted tensor, or one whose plugin says
    that it belongs there. If nothing would be left for the server, all of it is the server's.
    """
    encrypted = _encrypted_names(graph)
    shapes = _names_of_shapes(graph, encrypted)
    ours = [n for n in graph.nodes if any(name in encrypted for name in n.node.outputs)]
    moving = [n for n in graph.nodes if any(x in encrypted | shapes for x in n.node.outputs)]
    tail = _tail(moving, encrypted) if client_tail else set()
    if all(n.name in tail for n in ours) and any(n.plugin.quantized for n in ours):
        tail = set()
    in_tail = [bound for bound in graph.nodes if bound.name in tail]
    server = [bound for bound in graph.nodes if bound.name not in tail]
    made_by_tail = {name for bound in in_tail for name in bound.node.outputs}
    wanted = [spec.name for spec in graph.outputs]
    wanted += [name for bound in in_tail for name in bound.node.inputs]
    boundary = dict.fromkeys(n for n in wanted if n in encrypted and n not in made_by_tail)
    given = {name for bound in in_tail for name in bound.node.inputs} - made_by_tail
    return Split(
        tuple(server),
        tuple(in_tail),
        tuple(boundary),
        frozenset(encrypted),
        takes_shapes=not given.isdisjoint(shapes),
    )


def _encrypted_names(graph: BoundGraph) -> set[str]:
    encrypted = {spec.name for spec in graph.inputs}
    for bound in graph.nodes:
        if bound.plugin.schema.kind is OpKind.SHAPE:
            continue
        if any(name in encrypted for name in bound.node.inputs):
            encrypted.update(filter(None, bound.node.outputs))
    return encrypted


def _names_of_shapes(graph: BoundGraph, encrypted: set[str]) -> set[str]:
    """Clear tensors that follow from shapes of encrypted ones."""
    found: set[str] = set()
    for bound in graph.nodes:
        clear = [name for name in bound.node.outputs if name and name not in encrypted]
        if any(name in encrypted or name in found for name in bound.node.inputs):
            found.update(clear)
    return found


def _tail(nodes: list[BoundNode], encrypted: set[str]) -> set[str]:
    users: dict[str, list[str]] = {}
    for bound in nodes:
        for name in bound.node.inputs:
            users.setdefault(name, []).append(bound.name)
    may_be: set[str] = set()
    for bound in reversed(nodes):
        followers = {user for name in bound.node.outputs for user in users.get(name, ())}
        if bound.plugin.schema.kind is not OpKind.LINEAR and followers <= may_be:
            may_be.add(bound.name)
    tail: set[str] = set()
    made_by_tail: set[str] = set()
    for bound in nodes:
        if bound.name not in may_be:
            continue
        operands = {name for name in bound.node.inputs if name in encrypted}
        begins = len(operands) == 1 and (
            bound.plugin.schema.kind is OpKind.ELEMENTWISE
            or bound.plugin.tail
            or not bound.plugin.quantized
        )
        # Of a shape alone, nothing needs to come back from the server.
        begins = begins and not encrypted.isdisjoint(bound.node.outputs)
        if begins or made_by_tail.intersection(bound.node.inputs):
            tail.add(bound.name)
            made_by_tail.update(bound.node.outputs)
    return tail


def extract_tail(
    graph: BoundGraph,
    nodes: Iterable[BoundNode],
    boundary: Mapping[str, np.dtype[Any]],
    clear: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
) -> onnx.ModelProto:
    """Return the tail as an ONNX model of its own.

    Parameters
    ----------
    graph : BoundGraph
        Where it is taken from.
    nodes : iterable of BoundNode
        The tail's nodes, in order.
    boundary : mapping of str to dtype
        Its inputs.
    clear : mapping of str to array
        Clear tensors that its nodes may use.
    shapes : mapping of str to tuple of int
        What its inputs are declared to have: those of one sample if it is computed sample by
        sample. Of others, nothing is said.
    """
    nodes = tuple(nodes)
    model = graph.graph.onnx_model
    protos = {tuple(proto.output): proto for proto in model.graph.node}
    made = {name for bound in nodes for name in bound.node.outputs}
    used = {name for bound in nodes for name in bound.node.inputs if name}
    outputs = [spec for spec in graph.outputs if spec.name in made]
    return helper.make_model(
        helper.make_graph(
            [protos[bound.node.outputs] for bound in nodes],
            "tail",
            [
                _value(name, dtype, shapes.get(name))
                for name, dtype in boundary.items()
                if name in used
            ],
            [_value(spec.name, spec.dtype) for spec in outputs],
            [numpy_helper.from_array(np.array(clear[n]), n) for n in sorted(used & set(clear))],
        ),
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=model.ir_version,
        producer_name="cml",
    )


def _value(
    name: str, dtype: np.dtype[Any] | None, shape: tuple[int, ...] | None = None
) -> onnx.ValueInfoProto:
    kind = TensorProto.UNDEFINED if dtype is None else helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, shape)
