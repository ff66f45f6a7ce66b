"""Which grids the readers of a tensor agree on, from what they proposed during calibration."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from cml_core.calibration.stats import ProposedGrid
from cml_core.errors import NodeError
from cml_core.graph.bound import BoundGraph, BoundNode, run_numpy_op
from cml_core.ops.schema import OpKind

__all__ = ["agreed_grids"]

#: Most values of a grid that functions are examined on, by which part of a step they may move
#: them, and how many steps beyond its ends it is seen whether they clip.
_LEVELS, _SAME, _BEYOND = 2**16, 1e-3, (1.0, 2.0, 100.0)


def agreed_grids(
    graph: BoundGraph, made: Mapping[str, Mapping[str, ProposedGrid]]
) -> dict[str, ProposedGrid]:
    """The grids that all readers of a tensor proposed.

    What only moves elements proposes for its inputs what the readers of its outputs agree on. So
    does a function of one tensor that only clips the values of that grid; and one that proposed a
    grid itself needs no more of it than gives values that they agree on.

    Parameters
    ----------
    graph : BoundGraph
        The model.
    made : mapping of str to mapping
        By tensor name and by node name, the grids that nodes proposed.
    """
    proposals = {name: dict(grids) for name, grids in made.items()}
    readers: dict[str, list[str]] = {}
    for bound in graph.nodes:
        if bound.plugin.schema.kind is not OpKind.SHAPE:
            for name in filter(None, bound.node.inputs):
                readers.setdefault(name, []).append(bound.name)

    def agreed(name: str) -> ProposedGrid | None:
        known = proposals.get(name, {})
        grids = {known.get(reader) for reader in readers.get(name, ())}
        return grids.pop() if len(grids) == 1 else None

    for bound in reversed(graph.nodes):
        kind = bound.plugin.schema.kind
        wanted = {agreed(name) for name in bound.node.outputs if name in readers}
        grid = wanted.pop() if len(wanted) == 1 else None
        if grid is None or kind not in (OpKind.MOVEMENT, OpKind.ELEMENTWISE):
            continue
        names = [name for name in bound.node.inputs if name]
        if kind is OpKind.MOVEMENT:
            for name in names:
                proposals.setdefault(name, {})[bound.name] = grid
            continue
        operands = [name for name in names if name not in graph.constants]
        if len(operands) == 1:
            known = proposals.setdefault(operands[0], {})
            before = _before(bound, graph, operands[0], known.get(bound.name), grid)
            if before is not None:
                known[bound.name] = before
    found = {name: agreed(name) for name in proposals}
    return {name: grid for name, grid in found.items() if grid is not None}


def _before(
    bound: BoundNode,
    graph: BoundGraph,
    operand: str,
    proposed: ProposedGrid | None,
    wanted: ProposedGrid,
) -> ProposedGrid | None:
    """The grid that a function of one tensor needs, if `wanted` is the one for its result."""
    grid = proposed or wanted
    if grid.levels > _LEVELS:
        return proposed
    given = grid.values
    beyond = grid.scale * np.array(_BEYOND)
    values = np.concatenate([given, given[0] - beyond, given[-1] + beyond])
    tensors = tuple(
        values if name == operand else graph.constants.get(name) for name in bound.node.inputs
    )
    try:
        result = np.asarray(run_numpy_op(bound, tensors)[0], dtype=np.float64)
    except (NodeError, TypeError, ValueError):
        return proposed  # It takes no such values.
    if result.shape != values.shape:
        return proposed  # It has other parameters for other elements.
    within, below, above = np.split(result, [grid.levels, grid.levels + len(_BEYOND)])
    if proposed is not None:
        half = wanted.scale / 2
        low, high = wanted.values[0] - half, wanted.values[-1] + half
        (kept,) = np.nonzero((within > low) & (within < high))
        ends = bool((below > low).all()), bool((above < high).all())
        if kept.size == 0 or kept[-1] - kept[0] + 1 != kept.size:
            return proposed
        # What is left out is taken for the last value that is not, which must be as good.
        first, last = int(kept[0]), int(kept[-1])
        slack = _SAME * wanted.scale
        first -= first > 0 and abs(within[first] - wanted.values[0]) > slack
        last += last < grid.levels - 1 and abs(within[last] - wanted.values[-1]) > slack
    else:
        slack = _SAME * grid.scale
        (kept,) = np.nonzero(np.abs(within - given) < slack)
        if kept.size == 0:
            return None
        first, last = int(kept[0]), int(kept[-1])
        low, high = given[first], given[last]
        if (np.abs(within - np.clip(given, low, high)) > slack).any():
            return None
        ends = bool((np.abs(below - low) < slack).all()), bool((np.abs(above - high) < slack).all())
    clips = wanted.clips[0] or ends[0], wanted.clips[1] or ends[1]
    return attrs.evolve(grid, offset=given[first], levels=last - first + 1, clips=clips)
