"""What results of a tree ensemble are: some digits of what some trees add.

The fewer bits a result has and the less it adds up, the more noise its terms may have and the less
their lookups cost. So the digits of leaves go to several results, each of some digits and some
trees, which the client puts together. What a result is does not depend on how trees are computed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_entries import CODINGS, Coding, Entries, Share, shares

__all__ = ["Layout", "Layouts", "Result", "demand", "grouped", "width_of"]

#: Most digits of one result.
_MOST_DIGITS = 8
#: How many layouts are tried, those that promise the fewest results first.
_TRIED = 2


def demand(width: int, square: float) -> float:
    """What a result asks of the lookups that it adds up, in bits; see `lookup_complexity`.

    Parameters
    ----------
    width : int
        Its bits.
    square : float
        Sum of the squares of their weights.
    """
    return width + 0.5 * math.log2(max(square, 1.0))


def width_of(largest: int) -> int:
    """Bits of weights of some size: a compiler makes what they are multiplied with as wide."""
    return largest.bit_length() + 1


@attrs.frozen(slots=True, eq=False)
class Result:
    """A sum of variables, which counts `2**shift` in a target and is from `low` to `high`."""

    target: int
    shift: int
    weights: np.ndarray
    low: int
    high: int

    @property
    def width(self) -> int:
        """Bits that it needs, counted from its lowest value."""
        return max(1, (self.high - self.low).bit_length())


@attrs.frozen(slots=True, eq=False)
class Layout:
    """Which digits of which trees each result holds.

    Parameters
    ----------
    coding : Coding
        Gives digits of integers.
    count : int
        How many digits a result holds.
    groups : tuple of (int, int, tuple of int)
        Of each result: where its digits begin, counted in `count`; the target; the trees.
    """

    coding: Coding
    count: int
    groups: tuple[tuple[int, int, tuple[int, ...]], ...]

    def results(self, entries: Entries, variables: int) -> list[Result]:
        """The results for trees that are computed in some way."""
        found = list(shares(entries, self.coding, self.count))
        starts = entries.starts[:, 0].tolist()
        results = []
        for place, target, trees in self.groups:
            share = found[place]
            weights = np.zeros(variables, dtype=np.int64)
            for t in trees:
                own = slice(starts[t], starts[t + 1])
                weights[entries.variable[own]] += share.weights[own, target]
            low, high = (int(end[list(trees), target].sum()) for end in (share.low, share.high))
            results.append(Result(target, share.shift, weights, low, high))
        return results


@attrs.frozen(slots=True, eq=False)
class Layouts:
    """Finds layouts of few results for trees whose lookups are those of paths."""

    entries: Entries
    variables: int
    _shares: dict[tuple[Coding, int], list[Share]] = attrs.field(factory=dict, init=False)

    def best(self, most: float, least: int) -> Layout | None:
        """The layout of the fewest results, about; None if some tree demands more by itself.

        Parameters
        ----------
        most : float
            What a result may demand of the variables that it adds up.
        least : int
            Bits that all results have, whether they need them or not.
        """
        options = []
        for coding in CODINGS:
            for count in range(1, _MOST_DIGITS + 1):
                for width in range(least, int(most) + 1):
                    promised = _promised(self._of(coding, count), width, most)
                    if promised is not None:
                        options.append((promised, coding, count, width))
        options.sort(key=lambda option: option[0])
        found = [self._laid_out(*option[1:], most) for option in options[:_TRIED]]
        return min(found, key=lambda layout: len(layout.groups), default=None)

    def _of(self, coding: Coding, count: int) -> list[Share]:
        key = coding, count
        if key not in self._shares:
            self._shares[key] = list(shares(self.entries, coding, count))
        return self._shares[key]

    def _laid_out(self, coding: Coding, count: int, width: int, most: float) -> Layout:
        """Put as many trees, one after another, into a result as it may hold."""

        def fits(span: int, largest: int, square: float) -> bool:
            whole = span < 2**width and width_of(largest) <= width
            return whole and demand(width, square) <= most

        starts = self.entries.starts[:, 0].tolist()
        own = [slice(a, b) for a, b in itertools.pairwise(starts)]
        groups = []
        for place, share in enumerate(self._of(coding, count)):
            for target in range(share.weights.shape[1]):
                weights = share.weights[:, target]
                spans = (share.high - share.low)[:, target].tolist()
                mine = np.flatnonzero(share.square[:, target]).tolist()
                terms = [(self.entries.variable[own[t]], weights[own[t]]) for t in mine]
                found = grouped(terms, [spans[t] for t in mine], self.variables, fits)
                groups += [(place, target, tuple(mine[k] for k in group)) for group in found]
        return Layout(coding, count, tuple(groups))


def _promised(parts: Sequence[Share], width: int, most: float) -> int | None:
    """About how many results shares make if these have so many bits; None if a tree needs more."""
    total = 0.0
    square = 4.0 ** (most - width)
    for share in parts:
        spans = share.high - share.low
        if (
            spans.max(initial=0) >= 2**width
            or share.square.max(initial=0) > square
            or width_of(_largest(share.weights)) > width
        ):
            return None
        needed = np.maximum(spans.sum(axis=0) / (2**width - 1), share.square.sum(axis=0) / square)
        total += np.ceil(needed).sum()
    return int(total)


def grouped(
    terms: Sequence[tuple[np.ndarray, np.ndarray]],
    spans: Sequence[int],
    variables: int,
    fits: Callable[[int, np.ndarray], bool],
) -> Iterator[list[int]]:
    """Divide sums, in order, into groups that fit together.

    Parameters
    ----------
    terms : sequence of (int array, int array)
        Of each sum, its variables and their weights.
    spans : sequence of int
        By how much each varies.
    variables : int
        How many there are.
    fits : callable
        `fits(span, largest, square)`: whether a group may vary so much and have weights of such a
        size and sum of squares.
    """
    total = np.zeros(variables, dtype=np.int64)
    group: list[int] = []
    span = largest = square = 0
    for k, (places, more) in enumerate(terms):
        if group:
            sums = total[places] + more
            wider, extent = span + spans[k], max(largest, _largest(sums))
            larger = square + int((sums**2 - total[places] ** 2).sum())
            if not fits(wider, extent, float(larger)):
                yield group
                group = []
        if not group:
            total[:] = 0
            wider, extent, larger = spans[k], _largest(more), int((more**2).sum())
        total[places] += more
        group.append(k)
        span, largest, square = wider, extent, larger
    if group:
        yield group


def _largest(weights: np.ndarray) -> int:
    return int(np.abs(weights).max(initial=0))
