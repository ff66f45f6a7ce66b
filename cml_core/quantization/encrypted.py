"""EncryptedTensor: an integer tensor together with the elementwise function it stands for.

This idea carries the whole quantized side. An elementwise operator composes onto the function
and costs nothing; a movement operator moves the integers and the channel array alike; only a
linear operator asks for integers on an affine grid, and only then is a table lookup emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.quantization.builder import Register

__all__ = ["Decode", "EncryptedTensor", "ModelGrid", "group_rows"]

#: How far, in steps, numbers may be off a grid to count as on it: what float32 is off by.
_ON_GRID = 1e-4


def group_rows(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct rows of integer columns.

    Returns
    -------
    rows : array of shape (n_groups, n_columns)
        The distinct rows.
    group : array of the columns' shape
        Which row each element has.
    """
    shape = columns[0].shape
    table = np.stack([np.asarray(column).reshape(-1) for column in columns], axis=1)
    if len(columns) == 1:
        rows, group = np.unique(table[:, 0], return_inverse=True)
        return rows[:, np.newaxis], group.reshape(shape)
    rows, group = np.unique(table, axis=0, return_inverse=True)
    return rows, group.reshape(shape)


@attrs.frozen(slots=True, eq=False)
class ModelGrid:
    """The grid on which the model itself puts a tensor: `scale * k + offset`, k in `[0, levels)`.

    Parameters
    ----------
    scale, offset : float64 arrays, one entry per channel
        Step and lowest value.
    levels : int
        Number of values.
    """

    scale: np.ndarray
    offset: np.ndarray
    levels: int

    def values(self, channel: np.ndarray) -> np.ndarray:
        """All values of some channels, along a new last axis."""
        scale, offset = (ends[channel, np.newaxis] for ends in (self.scale, self.offset))
        values: np.ndarray = scale * np.arange(self.levels) + offset
        return values

    def pick(self, channels: np.ndarray) -> ModelGrid:
        """Return the grid whose channel i is this one's channel `channels[i]`."""
        return ModelGrid(self.scale[channels], self.offset[channels], self.levels)

    @staticmethod
    def union(parts: Sequence[ModelGrid | None]) -> ModelGrid | None:
        """Return the grid whose channels are those of all parts; None unless each part has one."""
        grids = [part for part in parts if part is not None]
        if len(grids) < len(parts) or not grids:
            return None
        scale = np.concatenate([grid.scale for grid in grids])
        offset = np.concatenate([grid.offset for grid in grids])
        return ModelGrid(scale, offset, max(grid.levels for grid in grids))

    @classmethod
    def around(cls, values: np.ndarray, most: int) -> ModelGrid | None:
        """Return the coarsest grid that holds the numbers of each row of `(channels, n)`.

        None if there is none of at most `most` values.
        """
        if not np.isfinite(values).all():
            return None
        values = np.sort(values.astype(np.float64), axis=1)
        low, span = values[:, :1], values[:, -1:] - values[:, :1]
        gaps = np.diff(values, axis=1, prepend=low)
        gaps = np.where(gaps > span * (_ON_GRID / most), gaps, np.inf)
        # A gap is a small difference of large numbers; the whole span says the step better.
        count = np.where(span > 0, np.rint(span / gaps.min(axis=1, keepdims=True)), 0.0)
        step = np.where(count > 0, span / np.maximum(count, 1), 1.0)
        places = (values - low) / step
        if count.max(initial=0) >= most or np.abs(places - np.rint(places)).max() > _ON_GRID:
            return None
        return cls(step[:, 0], low[:, 0], int(count.max(initial=0)) + 1)


@attrs.frozen(slots=True, eq=False)
class Decode:
    """The real value of an integer, per channel.

    Parameters
    ----------
    channels : int
        Number of parameter sets.
    function : callable
        `function(q, channel) -> value` on arrays that broadcast; `0 <= channel < channels`.
    grid : ModelGrid or None
        The grid that all values are on, if the model itself chose one.
    """

    channels: int
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    grid: ModelGrid | None = None

    def __call__(self, q: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """Real values of integers `q`, each by the parameters of its channel."""
        with np.errstate(all="ignore"):
            return np.asarray(self.function(np.asarray(q), np.asarray(channel)))

    @classmethod
    def affine(cls, scale: np.ndarray, offset: np.ndarray) -> Decode:
        """`scale[channel] * q + offset[channel]`, one entry of each array per channel."""
        return cls(len(scale), lambda q, c: scale[c] * q + offset[c])

    def pick(self, channels: np.ndarray) -> Decode:
        """Return the function whose channel i is this one's channel `channels[i]`."""
        grid = None if self.grid is None else self.grid.pick(channels)
        return Decode(len(channels), lambda q, c: self(q, channels[c]), grid)

    @staticmethod
    def union(parts: Sequence[Decode]) -> Decode:
        """Return the function whose channels are those of all parts, one after another."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(part.channels for part in parts)])

        def function(q: np.ndarray, c: np.ndarray) -> np.ndarray:
            q, c = np.broadcast_arrays(q, c)
            values = np.zeros(c.shape)
            for part, start, stop in zip(parts, starts[:-1], starts[1:], strict=True):
                mine = (c >= start) & (c < stop)
                if mine.any():
                    values[mine] = part(q[mine], c[mine] - start)
            return values

        return Decode(int(starts[-1]), function, ModelGrid.union([part.grid for part in parts]))


@attrs.frozen(slots=True, eq=False, repr=False)
class EncryptedTensor:
    """An integer tensor of the program and the real tensor that it stands for.

    Parameters
    ----------
    register : Register
        The integers.
    channel : int array of the register's shape
        Which parameters of `decode` apply to each element.
    decode : Decode
        Real value of each integer.
    dtype : numpy.dtype
        What the float model computes with here.
    name : str
        The tensor's name in the graph; empty inside an operator.
    node : str
        The node that made it; lookups that it needs are put down to that node in reports.
    """

    register: Register
    channel: np.ndarray
    decode: Decode
    dtype: np.dtype[Any] = attrs.field(factory=lambda: np.dtype(np.float32))
    name: str = ""
    node: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.register.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions of one sample."""
        return len(self.register.shape)

    @classmethod
    def on_grid(
        cls,
        register: Register,
        scale: float | np.ndarray,
        offset: float | np.ndarray,
        dtype: Any = np.float32,
    ) -> EncryptedTensor:
        """Return the tensor `scale * q + offset`, both arrays broadcast to the register's shape.

        Elements with the same scale and offset share a channel.
        """
        scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), register.shape)
        offset = np.broadcast_to(np.asarray(offset, dtype=np.float64), register.shape)
        if register.size == 0:
            nothing = np.zeros(register.shape, dtype=np.int64)
            return cls(register, nothing, Decode.affine(np.ones(1), np.zeros(1)), np.dtype(dtype))
        scales, by_scale = np.unique(scale, return_inverse=True)
        # Offsets that differ by rounding error alone are one: a millionth of a step at most.
        unit = np.abs(scales[by_scale.reshape(-1)]).reshape(register.shape) * 2.0**-20
        unit = np.where(unit > 0, unit, 2.0**-60)
        with np.errstate(all="ignore"):
            steps = np.rint(offset / unit)
        _, by_offset = np.unique(steps, return_inverse=True)
        _, channel = group_rows([by_scale.reshape(-1), by_offset.reshape(-1)])
        _, first = np.unique(channel, return_index=True)
        decode = Decode.affine(scale.reshape(-1)[first], offset.reshape(-1)[first])
        return cls(register, channel.reshape(register.shape), decode, np.dtype(dtype))

    def kept_on(
        self, scale: float | np.ndarray, offset: float | np.ndarray, levels: int
    ) -> EncryptedTensor:
        """Return the same tensor, which the model itself puts on a grid, so that it stays on it.

        Whoever needs it on a grid gets it on this one, whatever bit width the user chose.
        Functions that keep it on a grid and movements carry it on.

        Parameters
        ----------
        scale, offset : arrays that broadcast to the tensor's shape
            Step and lowest value.
        levels : int
            Number of values.
        """
        if self.register.size == 0:
            return self
        parts = [
            np.unique(np.broadcast_to(ends, self.shape), return_inverse=True)
            for ends in (scale, offset)
        ]
        columns = [self.channel, *(number.reshape(self.shape) for _, number in parts)]
        rows, channel = group_rows(columns)
        steps, starts = (
            np.asarray(ends, dtype=np.float64)[rows[:, k + 1]] for k, (ends, _) in enumerate(parts)
        )
        decode = self.decode.pick(rows[:, 0])
        decode = attrs.evolve(decode, grid=ModelGrid(steps, starts, levels))
        return attrs.evolve(self, channel=channel, decode=decode)

    def values(self) -> np.ndarray:
        """Real values on the calibration samples, `(N, *S)`."""
        return self.decode(self.register.samples, self.channel)

    def typed(self, q: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """Real values in a form that the float reference computes with.

        Floats are carried in float64, so that tables are as exact as can be; integers and
        booleans have the model's dtype, as operators treat them differently.
        """
        return self.as_typed(self.decode(q, channel))

    def as_typed(self, value: np.ndarray) -> np.ndarray:
        """Real values of the tensor in the form that `typed` describes."""
        if self.dtype.kind in "fV":
            return value.astype(np.float64)
        if self.dtype.kind in "iu" and value.dtype.kind == "f":
            value = np.rint(value)
        return value.astype(self.dtype)

    def named(self, name: str, node: str) -> EncryptedTensor:
        """Return the same tensor under its name in the graph, made by a node."""
        return attrs.evolve(self, name=name, node=node)
