"""What the float model computes on the calibration samples, tensor by tensor.

Lowering compares with it: adaptive choices aim at it, and reports say how far integers are off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from cml_core.graph.bound import BoundGraph, BoundNode, run_numpy_op
from cml_core.interpreter import interpret
from cml_core.samples import count_samples

__all__ = ["FloatReference"]

#: Most samples that are compared with the float model, and most memory for their tensors.
_SAMPLES = 1024
_BYTES = 2**28


@attrs.frozen(slots=True, eq=False)
class FloatReference:
    """Float tensors of a graph on the first calibration samples.

    Parameters
    ----------
    tensors : mapping of str to float array of shape (n, *S)
        By tensor name; n is the same for all, at most the number of samples.
    count : int
        The number of samples n.
    """

    tensors: Mapping[str, np.ndarray]
    count: int

    @classmethod
    def of(cls, graph: BoundGraph, samples: Mapping[str, np.ndarray]) -> FloatReference:
        """Run a graph on samples `(N, *S)`, each alone, and keep what its float tensors hold."""
        kept: dict[str, list[np.ndarray]] = {}
        total, count = count_samples(samples), 0
        limit = min(total, _SAMPLES)
        while count < limit:
            found = _run(graph, {name: array[count] for name, array in samples.items()})
            if count == 0:
                size = sum(array.nbytes for array in found.values())
                limit = max(1, min(limit, _BYTES // max(size, 1)))
            for name, array in found.items():
                kept.setdefault(name, []).append(array)
            count += 1
        stacked = {
            name: np.stack(arrays)
            for name, arrays in kept.items()
            if len(arrays) == count and len({array.shape for array in arrays}) == 1
        }
        return cls(stacked, count)

    def of_tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Values of a tensor whose samples have the given shape, or None if there are none."""
        values = self.tensors.get(name)
        return values if values is not None and values.shape[1:] == shape else None


def _run(graph: BoundGraph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {name: array for name, array in feeds.items() if array.dtype.kind == "f"}

    def evaluate(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs = run_numpy_op(bound, tensors)
        for name, value in zip(bound.node.outputs, outputs, strict=False):
            if name and isinstance(value, np.ndarray) and value.dtype.kind == "f":
                found[name] = value.astype(np.float32, copy=False)
        return outputs

    interpret(graph.nodes, {**graph.constants, **feeds}, (), evaluate)
    return found
