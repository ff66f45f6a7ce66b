"""Profile: where a model in float spends its time and memory, node by node.

Time is taken in runs of their own, with nothing in them but a clock around every node. Memory is
measured in one more run before, which `tracemalloc` slows down. It sees what NumPy and Python
allocate, not the buffers inside a BLAS library.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from cml_core.errors import ConfigError
from cml_core.feeds import as_feeds, bind_arguments
from cml_core.graph.bound import BoundNode, evaluate
from cml_core.graph.model import TensorSpec
from cml_core.interpreter import interpret, last_uses
from cml_core.numpy_module import NumpyModule

__all__ = ["NodeProfile", "OperatorProfile", "Profile", "profile"]


@attrs.frozen(slots=True)
class NodeProfile:
    """One node of the model; of one with graphs in it, all that happens within them.

    Parameters
    ----------
    name, domain, op_type : str
        The node and its operator.
    seconds : float
        Median over the runs.
    outputs : tuple of TensorSpec
        What it gave: dtype and shape, both None for a sequence, a map, or an empty optional.
    output_bytes : int
        Memory that its outputs take; views of other tensors take none.
    live_bytes : int
        All tensors that are in memory after it, before any is dropped: the model's inputs that
        are still needed and results, without the model's constants.
    temporary_bytes : int
        What it allocated on top of that while it ran, at the most.
    """

    name: str
    domain: str
    op_type: str
    seconds: float
    outputs: tuple[TensorSpec, ...]
    output_bytes: int
    live_bytes: int
    temporary_bytes: int


@attrs.frozen(slots=True)
class OperatorProfile:
    """All nodes of one operator.

    Parameters
    ----------
    domain, op_type : str
        The operator.
    nodes : int
        How many there are.
    seconds : float
        Sum of theirs.
    output_bytes : int
        Sum of theirs.
    temporary_bytes : int
        Most that one of them takes.
    """

    domain: str
    op_type: str
    nodes: int
    seconds: float
    output_bytes: int
    temporary_bytes: int


@attrs.frozen(slots=True)
class Profile:
    """What `profile` measured.

    Parameters
    ----------
    nodes : tuple of NodeProfile
        In the order in which they run. Nodes on constants alone are not among them: they are
        computed once, when the model is loaded.
    runs : int
        Runs that time was taken in.
    seconds : float
        Median of a whole run, from checked inputs to outputs.
    overhead : float
        Median of what a run took beside its nodes.
    constant_bytes : int
        The model's constants.
    """

    nodes: tuple[NodeProfile, ...]
    runs: int
    seconds: float
    overhead: float
    constant_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Most memory that inputs, results and temporary arrays take together at any time."""
        return max((node.live_bytes + node.temporary_bytes for node in self.nodes), default=0)

    @property
    def operators(self) -> tuple[OperatorProfile, ...]:
        """The same operator by operator, the slowest first."""
        groups: dict[tuple[str, str], list[NodeProfile]] = {}
        for node in self.nodes:
            groups.setdefault((node.domain, node.op_type), []).append(node)
        found = [
            OperatorProfile(
                *key,
                nodes=len(group),
                seconds=sum(node.seconds for node in group),
                output_bytes=sum(node.output_bytes for node in group),
                temporary_bytes=max(node.temporary_bytes for node in group),
            )
            for key, group in groups.items()
        ]
        return tuple(sorted(found, key=lambda operator: -operator.seconds))

    def as_dict(self) -> dict[str, Any]:
        """The profile as plain data, for JSON."""
        return {
            "runs": self.runs,
            "seconds": self.seconds,
            "overhead_seconds": self.overhead,
            "peak_bytes": self.peak_bytes,
            "constant_bytes": self.constant_bytes,
            "operators": [attrs.asdict(operator) for operator in self.operators],
            "nodes": [
                {
                    "node": node.name,
                    "domain": node.domain,
                    "op_type": node.op_type,
                    "seconds": node.seconds,
                    "outputs": [
                        {
                            "name": spec.name,
                            "dtype": None if spec.dtype is None else str(spec.dtype),
                            "shape": spec.shape,
                        }
                        for spec in node.outputs
                    ],
                    "output_bytes": node.output_bytes,
                    "live_bytes": node.live_bytes,
                    "temporary_bytes": node.temporary_bytes,
                }
                for node in self.nodes
            ],
        }


def profile(module: NumpyModule, inputs: Any, *, repeat: int = 5) -> Profile:
    """Measure time and memory of a model, node by node.

    Parameters
    ----------
    module : NumpyModule
        The model.
    inputs : array, tuple of arrays or mapping
        What to run it on: one array, several positionally, or by name.
    repeat : int
        Runs to take time in; the medians count. One more before them is for memory.

    Raises
    ------
    ConfigError
        `repeat` is less than 1.
    InputError
        An input is missing, unknown, or of the wrong shape or dtype.
    NodeError
        An operator failed on the values that reached it.
    """
    if repeat < 1:
        raise ConfigError("repeat", repeat, "at least 1")
    if not isinstance(inputs, Mapping):
        arrays = inputs if isinstance(inputs, tuple) else (inputs,)
        inputs = bind_arguments(module.inputs, arrays)
    feeds = as_feeds(module.inputs, inputs)
    constants = module.graph.constants
    with np.errstate(all="ignore"):
        memory = _measure_memory(module, feeds)
        runs = [_measure_time(module, {**constants, **feeds}) for _ in range(repeat)]
    nodes = [
        NodeProfile(bound.name, bound.key.domain, bound.key.op_type, statistics.median(times), *row)
        for bound, row, *times in zip(
            module.graph.nodes, memory, *(times for _, times in runs), strict=True
        )
    ]
    return Profile(
        tuple(nodes),
        repeat,
        seconds=statistics.median(total for total, _ in runs),
        overhead=statistics.median(total - sum(times) for total, times in runs),
        constant_bytes=sum(_together(map(_memory, constants.values())).values()),
    )


def _output_names(module: NumpyModule) -> list[str]:
    return [spec.name for spec in module.outputs]


def _measure_time(module: NumpyModule, values: Mapping[str, Any]) -> tuple[float, list[float]]:
    """Seconds of one run, and of each node in it."""
    nodes, outputs, clock = module.graph.nodes, _output_names(module), time.perf_counter
    dead, seconds = last_uses(nodes, outputs), []

    def timed(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        start = clock()
        results = evaluate(bound, tensors)
        seconds.append(clock() - start)
        return results

    start = clock()
    interpret(nodes, values, outputs, timed, dead)
    return clock() - start, seconds


_Row = tuple[tuple[TensorSpec, ...], int, int, int]


def _measure_memory(module: NumpyModule, feeds: Mapping[str, Any]) -> list[_Row]:
    """Outputs, their bytes, live bytes and temporary bytes of each node in one run."""
    nodes, outputs, constants = module.graph.nodes, _output_names(module), module.graph.constants
    dead = last_uses(nodes, outputs)
    fixed = _together(map(_memory, constants.values()))
    # What a caller's array is a view of is not the model's.
    live = {name: _memory(value, views=True) for name, value in feeds.items()}
    rows: list[_Row] = []

    def measured(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        tracemalloc.reset_peak()
        results = evaluate(bound, tensors)
        current, peak = tracemalloc.get_traced_memory()
        made = {n: r for n, r in zip(bound.node.outputs, results, strict=False) if n}
        before = _together((fixed, *live.values()))
        for name, result in made.items():
            live[name] = {o: before.get(o, size) for o, size in _memory(result).items()}
        after = _together((fixed, *live.values()))
        own = sum(size for owner, size in after.items() if owner not in before)
        alive = sum(after.values()) - sum(fixed.values())
        specs = tuple(_spec(name, result) for name, result in made.items())
        rows.append((specs, own, alive, peak - current))
        for name in dead[len(rows) - 1]:
            live.pop(name, None)
        return results

    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        interpret(nodes, {**constants, **feeds}, outputs, measured, dead)
    finally:
        if not traced:
            tracemalloc.stop()
    return rows


def _spec(name: str, value: Any) -> TensorSpec:
    if isinstance(value, np.ndarray):
        return TensorSpec(name, value.dtype, value.shape)
    return TensorSpec(name, None, None)


def _memory(value: Any, *, views: bool = False) -> dict[int, int]:
    """Bytes of the arrays that hold a tensor, or the tensors in a sequence or a map, by identity.

    With `views`, those of the tensors themselves, though others may hold them.
    """
    if isinstance(value, np.ndarray):
        owner = _owner(value)
        return {id(owner): value.nbytes if views else owner.nbytes}
    parts: Iterable[Any] = ()
    if isinstance(value, (tuple, list)):
        parts = value
    elif isinstance(value, Mapping):
        parts = value.values()
    return _together(_memory(part, views=views) for part in parts)


def _together(memory: Iterable[Mapping[int, int]]) -> dict[int, int]:
    return {owner: size for each in memory for owner, size in each.items()}


def _owner(array: np.ndarray) -> np.ndarray:
    # Between a view and its array there may be objects of NumPy's that are no arrays.
    step: Any = array
    while (step := getattr(step, "base", None)) is not None:
        if isinstance(step, np.ndarray):
            array = step
    return array
