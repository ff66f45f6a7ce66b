"""CalibrationStats: what calibration learned, and the recorder that gathers it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.calibration.observers import Observer, make_observer

__all__ = ["CalibrationRecorder", "CalibrationStats", "Cuts", "ProposedGrid", "TensorRange"]


@attrs.frozen(slots=True)
class TensorRange:
    """The range of one tensor on the calibration data."""

    low: float
    high: float


def _flags(values: Sequence[Any]) -> tuple[bool, bool]:
    below, above = values
    return bool(below), bool(above)


@attrs.frozen(slots=True)
class ProposedGrid:
    """What a node asks a tensor for: the values `scale * q + offset`, q in `[0, levels)`.

    `clips` says whether the model itself clips what is below them, and what is above.
    """

    scale: float = attrs.field(converter=float)
    offset: float = attrs.field(converter=float)
    levels: int = attrs.field(converter=int)
    clips: tuple[bool, bool] = attrs.field(default=(False, False), converter=_flags)

    @property
    def values(self) -> np.ndarray:
        """All of them, from the lowest on."""
        values: np.ndarray = self.scale * np.arange(self.levels) + self.offset
        return values


@attrs.frozen(slots=True, eq=False)
class Cuts:
    """All that is asked of a tensor: which of its elements exceed which values.

    Parameters
    ----------
    values : float64 array of shape (T,)
        For each element in turn, in ascending order.
    element : int array of shape (T,)
        Which element of a flattened sample each of them is for, in ascending order.
    """

    values: np.ndarray
    element: np.ndarray

    @classmethod
    def of(cls, values: Any, element: Any) -> Cuts:
        """Return cuts given in any order, equal ones once."""
        pairs = np.stack([np.asarray(element, np.float64), np.asarray(values, np.float64)], axis=1)
        pairs = np.unique(pairs.reshape(-1, 2), axis=0)
        return cls(pairs[:, 1], pairs[:, 0].astype(np.int64))


@attrs.frozen(slots=True, eq=False, repr=False)
class CalibrationStats:
    """What was seen of every tensor of a model on representative data.

    Parameters
    ----------
    ranges : mapping of str to TensorRange
        By tensor name, model inputs and outputs included.
    notes : mapping of str to mapping
        By node name, what the operator's calibration hook left.
    samples : mapping of str to array
        The calibration data itself, `(N, *S)` for each model input.
    grids : mapping of str to ProposedGrid
        By tensor name, the grid that all its readers proposed.
    cuts : mapping of str to Cuts
        By name of a model input, all that its readers ask of it.
    observer : str
        The observer that decided the ranges.
    bits : int
        The width of integers that it had in mind.
    digest : str
        SHA-256 of the model that was calibrated, in hexadecimal digits.
    """

    ranges: Mapping[str, TensorRange]
    notes: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, np.ndarray]
    grids: Mapping[str, ProposedGrid] = MappingProxyType({})
    cuts: Mapping[str, Cuts] = MappingProxyType({})
    observer: str = "minmax"
    bits: int = 8
    digest: str = ""


@attrs.define(slots=True, eq=False)
class CalibrationRecorder:
    """Where calibration keeps what it sees; a calibration hook gets it as its first argument.

    Parameters
    ----------
    observer : str
        Name of the observer to use for every tensor.
    bits : int
        Width of the integers that observers choose a range for.
    notes : dict
        For the hook of the current node: anything it wants to keep between batches and to find
        again as `ctx.notes` when the node is lowered.
    proposals : dict
        By tensor name and by node name, the grids that nodes proposed for what they take.
    cuts : dict
        By tensor and node name, the cuts that nodes proposed for what they take.
    """

    observer: str = "minmax"
    bits: int = 8
    notes: dict[str, Any] = attrs.field(factory=dict)
    proposals: dict[str, dict[str, ProposedGrid]] = attrs.field(factory=dict, init=False)
    cuts: dict[tuple[str, str], Cuts] = attrs.field(factory=dict, init=False)
    _observers: dict[str, Observer] = attrs.field(factory=dict, init=False)
    _by_node: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _node: str = attrs.field(default="", init=False)
    _constants: Container[str] = attrs.field(default=(), init=False)
    _inputs: tuple[str, ...] = attrs.field(default=(), init=False)

    def observe(self, tensor: str, values: np.ndarray) -> None:
        """Add one batch of a tensor's values to what is known of it."""
        if tensor not in self._observers:
            self._observers[tensor] = make_observer(self.observer)
        self._observers[tensor].update(np.asarray(values))

    def turn_to(
        self, node: str, inputs: Sequence[str] = (), constants: Container[str] = ()
    ) -> None:
        """Make `notes` those of the given node, which takes the given tensors."""
        self._constants = constants
        self.notes = self._by_node.setdefault(node, {})
        self._node, self._inputs = node, tuple(inputs)

    def propose_grid(
        self,
        position: int,
        scale: float,
        offset: float,
        levels: int,
        *,
        clips: tuple[bool, bool] = (False, False),
    ) -> None:
        """Say on which grid the current node needs nothing done to one of its inputs.

        If all readers of a model input propose the same grid, the client encodes it on that grid.
        A later proposal of the same node takes the place of an earlier one.

        Parameters
        ----------
        position : int
            Which of the node's inputs.
        scale, offset : float
            Step and lowest value.
        levels : int
            Number of values.
        clips : tuple of bool
            Whether the node takes what is below the lowest value for it, and what is above the
            highest for that.
        """
        grid = ProposedGrid(scale, offset, levels, clips)
        self.proposals.setdefault(self._inputs[position], {})[self._node] = grid

    def propose_cuts(self, position: int, values: Any, element: Any) -> None:
        """Say that the current node asks of one of its inputs only which elements exceed what.

        If all readers of a model input do so, the client encrypts it by the cuts; see
        `QuantConfig.thresholds`. What stands between may be any functions of single elements.

        Parameters
        ----------
        position : int
            Which of the node's inputs.
        values : array of shape (T,)
            The cuts: the node asks whether `x > value`.
        element : int array of shape (T,)
            Which element of the flattened tensor each is for. What is said of a batch is of no
            account: hooks are called with a single sample too.
        """
        self.cuts[self._inputs[position], self._node] = Cuts.of(values, element)

    def is_constant(self, position: int) -> bool:
        """Whether one of the current node's inputs is the same for all samples."""
        return self._inputs[position] in self._constants

    def finish(
        self,
        samples: Mapping[str, np.ndarray],
        grids: Mapping[str, ProposedGrid] = MappingProxyType({}),
        cuts: Mapping[str, Cuts] = MappingProxyType({}),
        digest: str = "",
    ) -> CalibrationStats:
        """Return what was gathered, with the grids that all readers of a tensor agree on."""
        ranges = {name: TensorRange(*o.range(self.bits)) for name, o in self._observers.items()}
        notes = {name: MappingProxyType(kept) for name, kept in self._by_node.items() if kept}
        return CalibrationStats(
            MappingProxyType(ranges),
            MappingProxyType(notes),
            MappingProxyType(dict(samples)),
            MappingProxyType(dict(grids)),
            MappingProxyType(dict(cuts)),
            self.observer,
            self.bits,
            digest,
        )
