"""Bound nodes: what is computed at each, and how they run on clear arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.errors import CmlError, NodeError
from cml_core.graph.attributes import is_deterministic
from cml_core.graph.model import Graph, Node, TensorSpec
from cml_core.interpreter import interpret, last_uses
from cml_core.ops.schema import OpKey
from cml_core.plugins.registry import RegisteredOp

__all__ = ["BoundGraph", "BoundNode", "EnclosingGraph", "Subgraph", "evaluate", "run_numpy_op"]


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
    function : callable
        The float reference with the attributes given: tensors in, a tuple of tensors out.
    """

    node: Node
    key: OpKey
    registered: RegisteredOp
    attributes: Mapping[str, Any]
    function: Callable[..., tuple[Any, ...]]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def plugin(self) -> Any:
        """The operator plugin."""
        return self.registered.plugin

    @property
    def is_deterministic(self) -> bool:
        """Whether it gives the same outputs each time; one with graphs is as these are."""
        if not self.node.subgraphs:
            return is_deterministic(self.key)
        return all(inner.is_deterministic for inner in self.within())

    def within(self) -> Iterator[BoundNode]:
        """All nodes of its graphs, and of the graphs within these."""
        for name in self.node.subgraphs:
            for inner in self.attributes[name].graph.nodes:
                yield inner
                yield from inner.within()


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


@attrs.frozen(slots=True, eq=False)
class Subgraph:
    """An attribute that is a graph, as an operator gets it: a function of tensors.

    Parameters
    ----------
    graph : BoundGraph
        The graph.
    captured : mapping
        What it takes from the graph around it.
    """

    graph: BoundGraph
    captured: Mapping[str, Any] = MappingProxyType({})

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""
        return self.graph.outputs

    def __call__(self, *tensors: Any) -> tuple[Any, ...]:
        """Run it; its inputs are positional.

        Raises
        ------
        ValueError
            There are more or fewer tensors than inputs.
        """
        names = [spec.name for spec in self.graph.inputs]
        if len(tensors) != len(names):
            raise ValueError(f"its graph takes {len(names)} inputs and was given {len(tensors)}")
        values = {**self.graph.constants, **self.captured, **dict(zip(names, tensors, strict=True))}
        outputs = [spec.name for spec in self.graph.outputs]
        results = interpret(self.graph.nodes, values, outputs, evaluate, _dead(self.graph))
        return tuple(results[name] for name in outputs)


@attrs.define(eq=False)
class EnclosingGraph:
    """The graph that a node is in, for the few operators that are about it.

    Parameters
    ----------
    nodes : list of BoundNode
        All of its nodes, those that were folded too.
    constants : mapping of str to array
        Its constants.
    """

    nodes: list[BoundNode] = attrs.field(factory=list)
    constants: Mapping[str, Any] = attrs.field(factory=dict)

    def between(self, inputs: Sequence[str], output: str) -> Callable[..., Any]:
        """A part of the graph: a tensor as a function of others, which are positional.

        Constants are given their place in float64, so that results are as exact as can be.

        Raises
        ------
        ValueError
            Nothing computes the tensor, or it depends on tensors that are not among the inputs.
        """
        wanted, chosen = {output}, []
        for bound in reversed(self.nodes):
            if wanted.intersection(bound.node.outputs) - set(inputs):
                chosen.append(bound)
                wanted.update(bound.node.inputs)
        made = {name for bound in chosen for name in bound.node.outputs}
        open_ = wanted - made - set(inputs) - set(self.constants) - {""}
        if open_:
            names = ", ".join(map(repr, sorted(open_)))
            raise ValueError(f"{output!r} depends on {names}, beside {', '.join(inputs)}")
        constants = {
            name: value.astype(np.float64) if value.dtype == np.float32 else value
            for name, value in self.constants.items()
            if name in wanted
        }
        nodes = chosen[::-1]

        def function(*tensors: Any) -> Any:
            values = {**constants, **dict(zip(inputs, tensors, strict=True))}
            return interpret(nodes, values, [output], _evaluate_anew)[output]

        return function


def _evaluate_anew(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compute a node on whatever values, where what was prepared holds for its own constants."""
    if bound.node.subgraphs:
        return evaluate(bound, tensors)
    plain = functools.partial(bound.plugin.numpy_op, **bound.attributes)
    return evaluate(attrs.evolve(bound, function=plain), tensors)


@functools.lru_cache(maxsize=256)
def _dead(graph: BoundGraph) -> tuple[tuple[str, ...], ...]:
    return last_uses(graph.nodes, [spec.name for spec in graph.outputs])


def run_numpy_op(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compute a node on clear arrays with its plugin's float reference; see `evaluate`."""
    with np.errstate(all="ignore"):
        return evaluate(bound, tensors)


def evaluate(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compute a node where NumPy's floating-point warnings are off already.

    Raises
    ------
    NodeError
        The operator failed; the error names the node and quotes the reason.
    """
    try:
        results = bound.function(*tensors)
        if type(results) is tuple and len(results) >= len(bound.node.outputs):
            for result in results:
                if type(result) is not np.ndarray:
                    break
            else:
                return results
        return outputs_of(bound, results)
    except NodeError:
        raise
    except CmlError as error:
        raise NodeError(bound.name, bound.key.op_type, error.message().rstrip(".")) from error
    except (Exception, SystemExit) as error:
        shapes = ", ".join(map(_described, tensors))
        said, name = str(error).rstrip("."), type(error).__name__
        if isinstance(error, SystemExit):  # Its text is a status, or nothing.
            said = f"{name}: {said}"
        reason = f"{said or name} (inputs: {shapes})"
        raise NodeError(bound.name, bound.key.op_type, reason) from error


def outputs_of(bound: BoundNode, results: Any) -> tuple[Any, ...]:
    """Make NumPy scalars arrays, and refuse what cannot be the node's outputs.

    Raises
    ------
    TypeError
        It is no tuple.
    ValueError
        There are fewer than the node has.
    """
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


def _described(tensor: Any) -> str:
    if tensor is None:
        return "none"
    if isinstance(tensor, tuple):
        return f"a sequence of {len(tensor)}"
    return f"{getattr(tensor, 'dtype', '?')}{getattr(tensor, 'shape', '')}"
