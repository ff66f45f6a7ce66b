"""The client's side: floats to integers before encryption, and back after decryption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.errors import InputShapeError, NodeError
from cml_core.graph.bound import run_numpy_op
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.quantization.batching import close
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.input_output_codes import InputCode, OutputCode
from cml_core.samples import SampleLayout, count_samples
from cml_core.telling import tell

__all__ = ["ClientSide", "SaturationWarning"]


class SaturationWarning(UserWarning):
    """Inputs were outside the calibrated range and were moved to its nearest end."""


def _count_nan(samples: np.ndarray) -> int:
    """How many samples `(N, *S)` have a NaN."""
    if samples.dtype.kind not in "fV" or not samples.size:
        return 0
    return int(np.isnan(samples).reshape(len(samples), -1).any(axis=1).sum())


@attrs.frozen(slots=True, eq=False, repr=False)
class ClientSide:
    """Everything around the integer program that needs no key.

    Parameters
    ----------
    layout : SampleLayout
        The model's inputs and outputs.
    inputs : tuple of InputCode and CutCode
        In the order of the program's inputs.
    outputs : tuple of OutputCode
        In the order of the program's outputs.
    tail : NumpyModule or None
        What the client computes on the decoded outputs.
    clear : mapping of str to array
        Model outputs that depend on no encrypted value.
    tail_takes_batches : bool
        Whether the tail may be given all samples at once, along the first axis.
    """

    layout: SampleLayout
    inputs: tuple[InputCode | CutCode, ...]
    outputs: tuple[OutputCode, ...]
    tail: NumpyModule | None = None
    clear: Mapping[str, np.ndarray] = attrs.field(factory=dict)
    tail_takes_batches: bool = True

    def encode(self, inputs: Mapping[str, Any]) -> list[np.ndarray]:
        """Check and quantize arrays for the model; samples `(N, *S)` for each input.

        The integers are held as floats. Values outside the calibrated range saturate, with a
        warning; they never wrap.
        """
        samples = self.layout.split(inputs)
        codes = []
        for code in self.inputs:
            if samples[code.name].shape[1:] != code.shape:
                given = np.shape(inputs[code.name])
                expected = f"samples of {code.shape}, the sizes that it was quantized for"
                raise InputShapeError(code.name, given, expected)
            integers, outside = code.encode(samples[code.name])
            nan = _count_nan(samples[code.name]) if outside else 0
            if nan:
                tell(
                    f"{nan} of {len(integers)} samples have NaN in input {code.name!r}; the lowest "
                    "value is encrypted in its place, and their results are not the model's",
                    SaturationWarning,
                )
            if outside > nan and isinstance(code, InputCode):
                tell(
                    f"{outside - nan} of {len(integers)} samples have values of input "
                    f"{code.name!r} {code.outside}; they were saturated",
                    SaturationWarning,
                )
            codes.append(integers)
        return codes

    def decode(
        self, integers: Sequence[np.ndarray], count: int | None = None
    ) -> dict[str, np.ndarray]:
        """Turn integer output samples `(N, *S)` into the model's outputs by name.

        Parameters
        ----------
        integers : sequence of array
            In the order of the program's outputs.
        count : int, optional
            N, which a program without outputs does not say.
        """
        real = {code.name: code.decode(q) for code, q in zip(self.outputs, integers, strict=True)}
        count = count_samples(list(integers)) if count is None else count
        for name, value in self.clear.items():
            real[name] = np.broadcast_to(value, (count, *value.shape))
        if self.tail is not None:
            real |= self._run_tail(self.tail, real, count)
        joined = self.layout.join(real)
        return {
            spec.name: joined[spec.name].astype(spec.dtype)
            if spec.dtype is not None
            else joined[spec.name]
            for spec in self.layout.outputs
        }

    def _run_tail(
        self, tail: NumpyModule, real: Mapping[str, np.ndarray], count: int
    ) -> dict[str, np.ndarray]:
        """Run the tail on all samples at once where it is safe, else one after another."""
        if self.tail_takes_batches:
            results = self._run_whole(tail, real, count)
            if results is not None:
                return results
        # Of no samples, one of zeros shows shapes and dtypes.
        names, wanted = ([spec.name for spec in part] for part in (tail.inputs, tail.outputs))
        some = {n: real[n] for n in names}
        if not count:
            some = {n: np.zeros((1, *a.shape[1:]), a.dtype) for n, a in some.items()}
        rows = range(max(count, 1))
        each = [self._interpret(tail, {n: some[n][i] for n in names}, wanted) for i in rows]
        return {n: np.stack([one[n] for one in each])[:count] for n in wanted}

    def _run_whole(
        self, tail: NumpyModule, real: Mapping[str, np.ndarray], count: int
    ) -> dict[str, np.ndarray] | None:
        """Run the tail on all samples at once; None if their shapes do not allow it."""
        names, wanted = ([spec.name for spec in part] for part in (tail.inputs, tail.outputs))
        declared = any(spec.shape is not None for spec in tail.inputs)
        whole = self.layout.batched and all(
            real[n].ndim >= 2 and real[n].shape[1] == 1 and not declared for n in names
        )
        if whole:
            results = self._interpret(tail, {n: real[n][:, 0] for n in names}, wanted)
            if all(np.ndim(results[n]) >= 1 and len(results[n]) == count for n in wanted):
                return {n: results[n][:, np.newaxis] for n in wanted}
        return None

    def with_tail_examined(self, real: Mapping[str, np.ndarray]) -> ClientSide:
        """Say whether the tail gives for several samples at once what it gives for each.

        It need not: the batch may be another axis than the first, or the tail work along that.

        Parameters
        ----------
        real : mapping of str to array
            What the float model feeds the tail with, for some samples `(N, *S)`.
        """
        if self.tail is None:
            return self
        count = count_samples(list(real.values()))
        try:
            whole = self._run_whole(self.tail, real, count)
        except NodeError:
            return attrs.evolve(self, tail_takes_batches=False)
        alone = attrs.evolve(self, tail_takes_batches=False)
        if whole is None:
            return alone
        each = alone._run_tail(self.tail, real, count)
        same = all(
            whole[name].shape == each[name].shape and close(whole[name], each[name])
            for name in whole
        )
        return self if same else alone

    @staticmethod
    def _interpret(
        tail: NumpyModule, feeds: Mapping[str, np.ndarray], wanted: list[str]
    ) -> dict[str, np.ndarray]:
        graph = tail.graph
        return interpret(graph.nodes, {**graph.constants, **feeds}, wanted, run_numpy_op)
