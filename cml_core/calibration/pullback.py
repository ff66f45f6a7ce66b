"""Cuts of a tensor inside the model, brought back to the model's input.

A reader asks which elements of its operand exceed which values. Where each of these elements is
a function of a single element of a model input, that rises or falls all the way, the question is
one about the input: does it exceed the last number that gives no more than the value? That number
is found by bisection over the input's own floats, on the model itself, so that the answer is the
model's to the last bit, whatever stands between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from cml_core.calibration.stats import Cuts
from cml_core.errors import NodeError
from cml_core.graph.bound import BoundGraph, BoundNode, run_numpy_op
from cml_core.interpreter import interpret
from cml_core.ops.schema import OpKind
from cml_core.samples import SampleLayout

__all__ = ["input_cuts"]

#: How large numbers may be: all of them; those that 64 bits hold once they are cast, and 32 bits.
_REACHES = (math.inf, 2.0**62, 2.0**30)
#: Calibration samples on which what was found is checked.
_CHECKED = 256


def input_cuts(
    graph: BoundGraph,
    layout: SampleLayout,
    samples: Mapping[str, np.ndarray],
    proposed: Mapping[tuple[str, str], Cuts],
) -> dict[str, Cuts]:
    """Find the cuts of model inputs of which nothing else is asked.

    Parameters
    ----------
    graph : BoundGraph
        The model.
    layout : SampleLayout
        How it takes samples.
    samples : mapping of str to array
        Calibration data, `(N, *S)` for each input.
    proposed : mapping of (tensor, node) to Cuts
        What nodes ask of tensors.
    """
    if not proposed:
        return {}
    found = {}
    for spec in graph.inputs:
        asked = _asked(graph, spec.name, proposed)
        if asked is None:
            continue
        cuts = [_brought_back(graph, layout, samples, spec.name, *each) for each in asked.items()]
        if all(each is not None for each in cuts):
            values = np.concatenate([each.values for each in cuts if each is not None])
            element = np.concatenate([each.element for each in cuts if each is not None])
            if values.size:
                found[spec.name] = Cuts.of(values, element)
    return found


def _asked(
    graph: BoundGraph, name: str, proposed: Mapping[tuple[str, str], Cuts]
) -> dict[str, Cuts] | None:
    """What is asked of tensors that depend on an input, if it is cuts wherever a path ends."""
    asked: dict[str, list[Cuts]] = {}
    outputs = {spec.name for spec in graph.outputs}
    reached = {name}
    for bound in graph.nodes:
        for tensor in reached.intersection(bound.node.inputs):
            cuts = proposed.get((tensor, bound.name))
            if cuts is not None:
                asked.setdefault(tensor, []).append(cuts)
            elif bound.plugin.schema.kind is not OpKind.SHAPE:
                reached.update(filter(None, bound.node.outputs))
    readers = {tensor for bound in graph.nodes for tensor in bound.node.inputs}
    ends = {tensor for tensor in reached if tensor not in readers}
    if not asked or ends or reached & outputs:
        return None
    return {
        tensor: Cuts.of(
            np.concatenate([cuts.values for cuts in several]),
            np.concatenate([cuts.element for cuts in several]),
        )
        for tensor, several in asked.items()
    }


def _brought_back(
    graph: BoundGraph,
    layout: SampleLayout,
    samples: Mapping[str, np.ndarray],
    name: str,
    tensor: str,
    cuts: Cuts,
) -> Cuts | None:
    """The cuts of an input that answer what is asked of a tensor, or None if there are none."""
    x = samples[name]
    if x.dtype.kind not in "fiu":
        return None
    if tensor == name:
        return _of_dtype(cuts, x.dtype)
    if x.dtype not in (np.float32, np.float64, np.int32, np.int64):
        return None
    try:
        return _Probe(graph, layout, samples, name, tensor).bring_back(cuts)
    except (NodeError, ValueError):
        # Something between does not take all numbers that were tried.
        return None


def _of_dtype(cuts: Cuts, dtype: np.dtype[Any]) -> Cuts:
    """The same question in the numbers of a dtype: the largest that does not exceed each cut."""
    if dtype.kind != "f":
        return Cuts.of(np.floor(cuts.values), cuts.element)
    near = cuts.values.astype(dtype)
    below = np.nextafter(near, dtype.type(-np.inf))
    return Cuts.of(np.where(near > cuts.values, below, near), cuts.element)


@attrs.frozen(eq=False)
class _Probe:
    """Computes a tensor of the model from one input, the other inputs being as in one sample."""

    graph: BoundGraph
    layout: SampleLayout
    samples: Mapping[str, np.ndarray]
    name: str
    tensor: str
    nodes: tuple[BoundNode, ...] = attrs.field(init=False)
    axis: int = attrs.field(init=False)

    @nodes.default
    def _needed(self) -> tuple[BoundNode, ...]:
        wanted, kept = {self.tensor}, []
        for bound in reversed(self.graph.nodes):
            if wanted.intersection(bound.node.outputs):
                wanted.update(bound.node.inputs)
                kept.append(bound)
        return tuple(reversed(kept))

    @axis.default
    def _of_samples(self) -> int:
        """The axis of the tensor that counts samples.

        Raises
        ------
        ValueError
            It has no such axis.
        """
        if not self.layout.batched:
            return 0
        two, three = (self._computed(self._alike(count))[0].shape for count in (2, 3))
        axes = [k for k, sizes in enumerate(zip(two, three, strict=False)) if sizes == (2, 3)]
        if len(two) != len(three) or len(axes) != 1:
            raise ValueError(f"no axis of {self.tensor!r} counts samples")
        return axes[0]

    def _alike(self, count: int) -> np.ndarray:
        first = self.samples[self.name][:1]
        return np.repeat(first.reshape(1, -1), count, axis=0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The tensor for inputs `(N, elements)`, flattened alike."""
        rows = self._computed(x)
        samples = np.moveaxis(rows[0], self.axis, 0) if self.layout.batched else np.stack(rows)
        flat: np.ndarray = samples.reshape(len(x), -1)
        return flat

    def _computed(self, x: np.ndarray) -> list[np.ndarray]:
        """The tensor for inputs `(N, elements)`, for all at once where the model allows it."""
        feeds = {k: np.repeat(v[:1], len(x), axis=0) for k, v in self.samples.items()}
        feeds[self.name] = x.reshape(len(x), *self.samples[self.name].shape[1:])
        rows = []
        for batch in self.layout.batches(feeds, len(x)):
            values = {**self.graph.constants, **batch}
            (result,) = interpret(self.nodes, values, [self.tensor], run_numpy_op).values()
            rows.append(result)
        return rows

    def bring_back(self, cuts: Cuts) -> Cuts | None:
        """Search the numbers of the input, or those that may be cast to integers."""
        for reach in _REACHES:
            found = self._within(cuts, reach)
            if found is not None:
                return found
        return None

    def _within(self, cuts: Cuts, reach: float) -> Cuts | None:
        """Bisect for all cuts at once, between numbers of some size."""
        x = self.samples[self.name]
        flat = x.reshape(len(x), -1)
        source, rises = self._sources(flat)
        if (source[cuts.element] == -2).any():
            return None
        free = source[cuts.element] >= 0
        values, element = cuts.values[free], cuts.element[free]
        own, up = source[element], rises[element]
        rows = np.arange(len(values))

        def exceeds(place: np.ndarray) -> np.ndarray:
            probes = np.repeat(flat[:1], len(values), axis=0)
            probes[rows, own] = _number(place, x.dtype)
            reached = self(probes)[rows, element] > values
            return np.where(up, reached, ~reached)

        info = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
        ends = np.array([max(info.min, -reach), min(info.max, reach)]).astype(x.dtype)
        low, high = (np.full(len(values), place) for place in _place(ends))
        always, never = exceeds(low), ~exceeds(high)
        while (high - low > 1).any():
            middle = low + (high - low) // low.dtype.type(2)
            above = exceeds(middle)
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        brought = _number(low, x.dtype).astype(np.float64)
        brought = np.where(always, -np.inf, np.where(never, np.inf, brought))
        if not self._agrees(flat, element, values, own, up, brought):
            return None
        open_ = np.isfinite(brought)
        return Cuts.of(brought[open_], own[open_])

    def _sources(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each element of the tensor its element of the input, and whether it rises with it.

        -1 where it depends on none, -2 where on several.
        """
        low, high = flat.min(axis=0), flat.max(axis=0)
        high = np.where(high > low, high, low + 1)
        base, size = self(low[np.newaxis]), flat.shape[1]
        moved = np.repeat(low[np.newaxis], size, axis=0)
        moved[np.arange(size), np.arange(size)] = high
        results = self(moved)
        changed = results != base
        count = changed.sum(axis=0)
        source = np.where(count == 1, changed.argmax(axis=0), np.where(count == 0, -1, -2))
        rises = results[np.maximum(source, 0), np.arange(len(source))] > base[0]
        return source, rises

    def _agrees(
        self,
        flat: np.ndarray,
        element: np.ndarray,
        values: np.ndarray,
        own: np.ndarray,
        up: np.ndarray,
        brought: np.ndarray,
    ) -> bool:
        """Whether the input's answers are the tensor's on calibration samples."""
        some = flat[:_CHECKED]
        wanted = self(some)[:, element] > values
        return bool((np.where(up, wanted, ~wanted) == (some[:, own] > brought)).all())


def _place(x: np.ndarray) -> np.ndarray:
    """Numbers as unsigned integers in the same order."""
    raw: Any = x.view(f"u{x.dtype.itemsize}")
    top = raw.dtype.type(1 << (8 * x.dtype.itemsize - 1))
    if x.dtype.kind == "i":
        raw = raw ^ top
    else:
        raw = np.where(raw & top, ~raw, raw | top)
    return raw  # type: ignore[no-any-return]


def _number(place: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The numbers at places."""
    top = place.dtype.type(1 << (8 * dtype.itemsize - 1))
    flip = dtype.kind == "i" or (place & top).astype(bool)
    number: np.ndarray = np.where(flip, place ^ top, ~place).view(dtype)
    return number
