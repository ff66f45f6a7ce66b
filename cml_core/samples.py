"""Splitting batches into samples.

A circuit on encrypted data has one fixed shape: that of one sample. Everything after calibration
therefore holds arrays of shape `(N, *S)`: N samples, each of the shape S that the model sees for
one of them (with its batch axis of size 1, if it has one). Instructions are defined on S and
vectorised over N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.errors import InputNameError, InputShapeError
from cml_core.feeds import as_feeds
from cml_core.graph.model import TensorSpec

__all__ = ["SampleLayout"]


@attrs.frozen(slots=True, eq=False)
class SampleLayout:
    """How a model's batches divide into samples and come together again.

    Parameters
    ----------
    inputs, outputs : tuple of TensorSpec
        The model's interface.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether the model leaves its batch size open."""
        return any(spec.shape is None or spec.has_batch_axis for spec in self.inputs)

    def split(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Turn arrays for the model into arrays of samples, `(N, *S)` each.

        A model with an open batch size gets N from its first axis. A model of fixed shape takes
        one sample of exactly that shape, several stacked on a new first axis, or several along
        its own first axis.

        Raises
        ------
        InputError
            An input is missing, unknown, or of the wrong shape or dtype.
        """
        if not self.batched:
            return self._split_fixed(inputs)
        feeds = as_feeds(self.inputs, inputs)
        counts = {
            spec.name: feeds[spec.name].shape[0]
            for spec in self.inputs
            if self._counts_samples(spec, feeds[spec.name])
        }
        count = max(counts.values(), default=1)
        samples = {}
        for spec in self.inputs:
            array = feeds[spec.name]
            if spec.name not in counts:
                samples[spec.name] = np.broadcast_to(array, (count, *array.shape))
            elif counts[spec.name] == count:
                samples[spec.name] = array[:, np.newaxis]
            else:
                raise InputShapeError(
                    spec.name, array.shape, f"{count} samples, as in the other inputs"
                )
        return samples

    @staticmethod
    def _counts_samples(spec: TensorSpec, array: np.ndarray) -> bool:
        return spec.has_batch_axis or (spec.shape is None and array.ndim > 0)

    def _split_fixed(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        names = tuple(spec.name for spec in self.inputs)
        missing = tuple(name for name in names if name not in inputs)
        unknown = tuple(str(name) for name in inputs if name not in names)
        if missing or unknown:
            raise InputNameError(missing, unknown, names)
        samples = {}
        for spec in self.inputs:
            array = np.asarray(inputs[spec.name])
            shape = tuple(size for size in spec.shape or () if isinstance(size, int))
            if array.shape != shape and array.ndim == len(shape) + 1:
                chunks = array
            elif array.shape != shape and array.ndim and shape and shape[0]:
                whole = array.shape[0] % shape[0] == 0 and array.shape[1:] == shape[1:]
                chunks = array.reshape(-1, *shape) if whole else array[np.newaxis]
            else:
                chunks = array[np.newaxis]
            if len(chunks):
                checked = as_feeds((spec,), {spec.name: chunks[0]})[spec.name]
                chunks = np.asarray(chunks, dtype=checked.dtype)
            samples[spec.name] = chunks
        count = max((len(chunks) for chunks in samples.values()), default=1)
        for name, chunks in samples.items():
            if len(chunks) != count:
                if len(chunks) != 1:
                    raise InputShapeError(name, chunks.shape, f"{count} samples, as in the others")
                samples[name] = np.broadcast_to(chunks, (count, *chunks.shape[1:]))
        return samples

    def join(self, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Bring output samples `(N, *S)` together as the model itself would return them."""
        return {
            spec.name: self._join_one(samples[spec.name], self._batch_axis(spec))
            for spec in self.outputs
        }

    def _join_one(self, array: np.ndarray, axis: int) -> np.ndarray:
        if array.ndim == 1:
            return array if self.batched or len(array) != 1 else array.reshape(())
        if not self.batched and len(array) == 1:
            return array.reshape(array.shape[1:])
        shape = array.shape[1:]
        moved: np.ndarray = np.moveaxis(array, 0, axis)
        return moved.reshape(*shape[:axis], len(array) * shape[axis], *shape[axis + 1 :])

    def _batch_axis(self, spec: TensorSpec) -> int:
        """Where the batch axis of an output is: the axis that shares the inputs' symbol, or 0."""
        symbols = {s.shape[0] for s in self.inputs if s.shape and isinstance(s.shape[0], str)}
        for axis, size in enumerate(spec.shape or ()):
            if size in symbols:
                return axis
        return 0


def count_samples(samples: Mapping[str, np.ndarray] | Sequence[np.ndarray]) -> int:
    """How many samples arrays of shape `(N, *S)` hold; 1 for a model without inputs."""
    arrays = list(samples.values() if isinstance(samples, Mapping) else samples)
    return len(arrays[0]) if arrays else 1
