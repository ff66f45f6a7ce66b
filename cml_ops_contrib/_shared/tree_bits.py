"""Sums of bits in a program, so put together that little noise adds up."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import Bounds, Interval, LoweringContext, Opcode

__all__ = ["Bits"]

#: Noise, in that of a lookup's result, from which on steps are as noisy as other variables.
_NOISY = 0.5


@attrs.define(slots=True, eq=False)
class Bits:
    """Variables of a plan for some samples, bits `(V, N)` in several registers.

    A compiler takes each element of a tensor for as noisy as the noisiest, and all tensors that
    are joined or added for as wide as the widest. So steps, which may be fresh from the client,
    are added up apart from results of lookups, terms by their factors, and no register is touched
    that is not needed.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    registers : list of Register
        The steps, and the results of the lookups of each stage, one after another.
    """

    ctx: LoweringContext
    registers: list[Any]

    @property
    def count(self) -> int:
        """Number of samples N."""
        count: int = self.registers[0].shape[1]
        return count

    def look_up(
        self, index: np.ndarray, factor: np.ndarray, start: np.ndarray, table: np.ndarray
    ) -> None:
        """Look the sums of a stage up; see `tree_stages.Stage`."""
        spread = len(table), self.count
        most = table.shape[1] - 1
        terms = (
            self._terms(index, factor, mine, int(size))
            for mine in self._sources(index)
            for size in np.unique(np.abs(factor[mine & (factor != 0)]))
        )
        total = self._added(terms, start[:, np.newaxis], np.zeros(spread), np.full(spread, most))
        tables, which = np.unique(table, axis=0, return_inverse=True)
        constants = {"tables": tables}
        if len(tables) > 1:
            constants["index"] = np.repeat(which.reshape(-1, 1), self.count, axis=1)
        settings = {"offset": 0, "shift": 0}
        self.registers.append(self.ctx.builder.emit(Opcode.LOOKUP, [total], settings, constants))

    def results(self, weights: np.ndarray, start: np.ndarray, top: np.ndarray) -> Any:
        """Weighted sums of the variables, `(N, R)`, each from zero to its top."""
        (used,) = np.nonzero((weights != 0).any(axis=1))
        products = (
            self.ctx.builder.emit(
                Opcode.MATMUL,
                [self._picked(used[mine], rows=0)],
                constants={"weight": weights[used[mine]]},
            )
            for mine in self._sources(used)
        )
        spread = self.count, len(top)
        return self._added(products, start, np.zeros(spread), np.broadcast_to(top, spread))

    def _sources(self, variables: np.ndarray) -> list[np.ndarray]:
        """Which variables are steps and which are not, if that makes a difference."""
        steps = variables < self.registers[0].shape[0]
        if self.registers[0].noise >= _NOISY:
            return [np.ones_like(steps)]
        return [mine for mine in (steps, ~steps) if mine.any()]

    def _added(self, terms: Any, start: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
        """The sum of some registers and a constant, between ends that are known."""
        emit = self.ctx.builder.emit
        total = functools.reduce(lambda a, b: emit(Opcode.ADD, [a, b]), terms)
        operand = np.array(np.broadcast_to(start, low.shape))
        bounds = Bounds(low.astype(np.int64), high.astype(np.int64))
        interval = Interval(bounds.low.min(initial=0), bounds.high.max(initial=0))
        # Nothing may be rounded away.
        return emit(
            Opcode.ADD,
            [total],
            constants={"operand": operand},
            interval=interval,
            bounds=bounds,
            packed=True,
        )

    def _terms(self, index: np.ndarray, factor: np.ndarray, mine: np.ndarray, size: int) -> Any:
        """Sums of those terms of each row that have a factor of some size, `(M, N)`."""
        emit = self.ctx.builder.emit
        mine = mine & (np.abs(factor) == size)
        order = np.argsort(~mine, axis=1, kind="stable")[:, : int(mine.sum(axis=1).max())]
        sign = np.where(mine, np.sign(factor), 0)
        index, sign = (np.take_along_axis(each, order, axis=1) for each in (index, sign))
        taken = self._picked(np.where(sign, index, index[sign != 0][0]), rows=1)
        if (sign != 1).any():
            operand = np.repeat(sign[:, np.newaxis], self.count, axis=1)
            taken = emit(Opcode.MULTIPLY, [taken], constants={"operand": operand})
        total = emit(Opcode.SUM, [taken], {"axes": (2,), "keepdims": False})
        if size > 1:
            total = emit(Opcode.MULTIPLY, [total], constants={"operand": np.array([[size]])})
        return total

    def _picked(self, variable: np.ndarray, *, rows: int) -> Any:
        """Variables for each sample, whose axis in the result is given."""
        emit = self.ctx.builder.emit
        sizes = [register.shape[0] for register in self.registers]
        which = np.repeat(np.arange(len(sizes)), sizes)
        needed = np.unique(which[variable]).tolist()
        place = np.cumsum(np.isin(which, needed)) - 1
        registers = [self.registers[k] for k in needed]
        flat = [emit(Opcode.RESHAPE, [each], shape=(each.size,)) for each in registers]
        line = flat[0] if len(flat) == 1 else emit(Opcode.CONCAT, flat, {"axis": 0})
        index = np.expand_dims(place[variable] * self.count, rows)
        shape = [1] * index.ndim
        shape[rows] = self.count
        index = index + np.arange(self.count).reshape(shape)
        return emit(Opcode.GATHER, [line], constants={"index": index})
