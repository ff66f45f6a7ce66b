"""Splitting batches into samples.

A circuit on encrypted data has one fixed shape: that of one sample. Everything after calibration
therefore holds arrays of shape `(N, *S)`: N samples, each of the shape S that the model sees for
one of them (with its batch axis of size 1, if it has one). Instructions are defined on S and
vectorised over N.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.errors import InputShapeError
from cml_core.feeds import check_shapes, convert
from cml_core.graph.model import TensorSpec

__all__ = ["SampleLayout"]


@attrs.frozen(slots=True, eq=False)
class SampleLayout:
    """How a model's batches divide into samples and come together again.

    Parameters
    ----------
    inputs, outputs : tuple of TensorSpec
        The model's interface.
    batch_axes : mapping of str to int or None
        Batch axis of outputs where it is known; None for an output that is the same for every
        batch. For the others, the axis that shares the inputs' symbol is taken, or the first.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_axes: Mapping[str, int | None] = attrs.field(factory=dict)

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
        arrays = convert(self.inputs, inputs)
        samples = self._split_open(arrays) if self.batched else self._split_fixed(arrays)
        counts = {name: len(array) for name, array in samples.items()}
        # An input with a single sample serves all samples of the others.
        count = next((count for count in counts.values() if count != 1), 1)
        for name, array in samples.items():
            if counts[name] == 1 != count:
                samples[name] = np.broadcast_to(array, (count, *array.shape[1:]))
            elif counts[name] != count:
                expected = f"{count} samples, as in the other inputs"
                raise InputShapeError(name, arrays[name].shape, expected)
        return samples

    def _split_open(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        check_shapes(self.inputs, {name: array.shape for name, array in arrays.items()})
        return {
            spec.name: arrays[spec.name][:, np.newaxis]
            if _counts_samples(spec, arrays[spec.name].ndim)
            else arrays[spec.name][np.newaxis]
            for spec in self.inputs
        }

    def _split_fixed(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        samples = {spec.name: _chunks(spec, arrays[spec.name]) for spec in self.inputs}
        try:
            check_shapes(self.inputs, {name: array.shape[1:] for name, array in samples.items()})
        except InputShapeError as error:
            expected = f"{error.expected}, or several of that shape stacked"
            raise InputShapeError(error.name, arrays[error.name].shape, expected) from None
        return samples

    def batches(
        self, samples: Mapping[str, np.ndarray], size: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Arrays for the model itself, `size` samples at once where its batch size is open."""
        step = size if self.batched else 1
        for start in range(0, count_samples(samples), step):
            yield {
                spec.name: samples[spec.name][start : start + step, 0]
                if self.batched and _counts_samples(spec, samples[spec.name].ndim - 1)
                else samples[spec.name][start]
                for spec in self.inputs
            }

    def join(self, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Bring output samples `(N, *S)` together as the model itself would return them.

        Results of a model of fixed shape go along their own first axis where that is a batch
        (its size is 1, or that of an input's first axis), else on a new first axis; a single
        one keeps its shape.
        """
        join = self._join_open if self.batched else self._join_fixed
        return {spec.name: join(spec, samples[spec.name]) for spec in self.outputs}

    def _join_open(self, spec: TensorSpec, array: np.ndarray) -> np.ndarray:
        axis = self._batch_axis(spec, array)
        if axis is None:
            return array[0] if len(array) else np.zeros(array.shape[1:], array.dtype)
        return array if array.ndim == 1 else _concatenate(array, axis)

    def _join_fixed(self, spec: TensorSpec, array: np.ndarray) -> np.ndarray:
        if len(array) == 1:
            return array.reshape(array.shape[1:])
        batches = {1} | {s.shape[0] for s in self.inputs if s.shape and len(s.shape) > 1}
        is_batch = array.ndim > 1 and array.shape[1] in batches
        return _concatenate(array, 0) if is_batch else array

    def _batch_axis(self, spec: TensorSpec, array: np.ndarray) -> int | None:
        """Where the batch axis of an output is: the axis that shares the inputs' symbol, or 0."""
        if spec.name in self.batch_axes:
            return self.batch_axes[spec.name]
        symbols = {s.shape[0] for s in self.inputs if s.shape and isinstance(s.shape[0], str)}
        for axis, size in enumerate((spec.shape or ())[: array.ndim - 1]):
            if size in symbols:
                return axis
        return 0


def _counts_samples(spec: TensorSpec, rank: int) -> bool:
    """Whether the first axis of an array for this input counts samples."""
    return spec.has_batch_axis or (spec.shape is None and rank > 0)


def _chunks(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """An array for an input of fixed shape as samples `(N, *S)`; its shape is checked later."""
    shape = spec.shape or ()
    if array.ndim == len(shape) + 1:
        return array
    if array.ndim == len(shape) and shape and isinstance(shape[0], int) and shape[0] > 0:
        count, rest = divmod(array.shape[0], shape[0])
        if rest == 0:
            return array.reshape(count, shape[0], *array.shape[1:])
    return array[np.newaxis]


def _concatenate(array: np.ndarray, axis: int) -> np.ndarray:
    """Put samples `(N, *S)` one after another along an axis of S."""
    shape = array.shape[1:]
    moved: np.ndarray = np.moveaxis(array, 0, axis)
    return moved.reshape(*shape[:axis], len(array) * shape[axis], *shape[axis + 1 :])


def count_samples(samples: Mapping[str, np.ndarray] | Sequence[np.ndarray]) -> int:
    """How many samples arrays of shape `(N, *S)` hold; 1 for a model without inputs."""
    arrays = list(samples.values() if isinstance(samples, Mapping) else samples)
    return len(arrays[0]) if arrays else 1
