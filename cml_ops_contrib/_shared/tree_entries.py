"""What branches of trees add: forks of all trees as arrays, and shares of the digits of leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np

from cml_core.plugin_api import binary_digits, signed_digits

__all__ = ["CODINGS", "Coding", "Entries", "Fork", "Share", "Terms", "shares"]

#: A sum of variables: their weights by number; those of a node's indicator are zero or one.
Terms = dict[int, int]

#: Digits of integers that are not negative, the lowest first.
Coding = Callable[[np.ndarray], list[np.ndarray]]

#: Stands for the tree itself where a fork is meant.
_TREE = -1


@attrs.frozen(slots=True, eq=False)
class Fork:
    """A node of a tree: the branch that was found and the other one, each a fork or a leaf."""

    terms: Terms
    constant: int
    found: Fork | int
    left: Fork | int


@attrs.frozen(slots=True, eq=False)
class Entries:
    """What all branches add where they are taken, over what their tree adds otherwise.

    Leaves are counted as often as they occur. All arrays are in the order of the trees.

    Parameters
    ----------
    variable : int array of shape (places,)
        The variables of each tree.
    terms : int array of shape (terms, 3)
        Weights in indicators: the place of the variable, the fork, the weight.
    constant : int array of shape (forks,)
        Of each fork's indicator.
    found, left : int arrays of shape (forks,)
        The leaf that is reached at the end of each branch if nothing more is found.
    first : int array of shape (trees,)
        The leaf that is reached in each tree if nothing is found.
    values : int array of shape (leaves, targets)
        What each leaf adds over the least of its tree.
    least : int array of shape (trees, targets)
        That least.
    starts : int array of shape (trees + 1, 3)
        Where the places, forks and leaves of each tree begin.
    """

    variable: np.ndarray
    terms: np.ndarray
    constant: np.ndarray
    found: np.ndarray
    left: np.ndarray
    first: np.ndarray
    values: np.ndarray
    least: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, roots: Sequence[Fork | int], values: np.ndarray) -> Entries:
        """Lay out trees, in each the forks from the top down."""
        variable: list[int] = []
        terms: list[tuple[int, int, int]] = []
        constant: list[int] = []
        ends: list[list[int]] = []
        first: list[int] = []
        leaves: list[int] = []
        starts = [(0, 0, 0)]
        for root in roots:
            place: dict[int, int] = {}
            # With each branch, the forks at an end of which it is: where found, and else.
            stack: list[tuple[Fork | int, list[int]]] = [(root, [_TREE])]
            while stack:
                branch, above = stack.pop()
                if isinstance(branch, int):
                    for fork in above:
                        (first if fork == _TREE else ends[fork]).append(len(leaves))
                    leaves.append(branch)
                    continue
                fork = len(ends)
                ends.append([])
                constant.append(branch.constant)
                for each, weight in branch.terms.items():
                    row = place.setdefault(each, len(variable) + len(place))
                    terms.append((row, fork, weight))
                stack += [(branch.left, [*above, fork]), (branch.found, [fork])]
            variable += place
            starts.append((len(variable), len(ends), len(leaves)))
        begins = np.array(starts, dtype=np.int64)
        pairs = np.array(ends, dtype=np.int64).reshape(-1, 2)
        whole = values[np.array(leaves, dtype=np.int64)]
        least = np.minimum.reduceat(whole, begins[:-1, 2], axis=0)
        return cls(
            np.array(variable, dtype=np.int64),
            np.array(terms, dtype=np.int64).reshape(-1, 3),
            np.array(constant, dtype=np.int64),
            pairs[:, 0],
            pairs[:, 1],
            np.array(first, dtype=np.int64),
            whole - np.repeat(least, np.diff(begins[:, 2]), axis=0),
            least,
            begins,
        )

    @property
    def base(self) -> np.ndarray:
        """What all trees add where no variable is one, `(targets,)`."""
        more = self.constant @ (self.values[self.found] - self.values[self.left])
        base: np.ndarray = (self.values[self.first] + self.least).sum(axis=0) + more
        return base


@attrs.frozen(slots=True, eq=False)
class Share:
    """Some digits of all leaves: their lowest one, and what they ask for.

    Parameters
    ----------
    shift : int
        The lowest digit.
    weights : int array of shape (places, targets)
        Of the trees' variables.
    low, high : int arrays of shape (trees, targets)
        The least and the most that each tree has, over what it has where no variable is one.
    square : int array of shape (trees, targets)
        Sums of the squares of the weights.
    """

    shift: int
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, entries: Entries, shift: int, digits: Sequence[np.ndarray]) -> Share:
        """The share of some digits, the lowest of which counts `2**shift`."""
        value = sum((digit << k for k, digit in enumerate(digits)), np.zeros_like(entries.values))
        more = value[entries.found] - value[entries.left]
        place, fork, weight = entries.terms.T
        weights = np.zeros((len(entries.variable), value.shape[1]), dtype=np.int64)
        np.add.at(weights, place, weight[:, np.newaxis] * more[fork])
        counts = np.diff(entries.starts, axis=0)
        places, forks = (np.repeat(np.arange(len(counts)), counts[:, k]) for k in (0, 1))
        base = value[entries.first]
        np.add.at(base, forks, entries.constant[:, np.newaxis] * more)
        square = np.zeros_like(base)
        np.add.at(square, places, weights**2)
        leaves = entries.starts[:-1, 2]
        low, high = (end.reduceat(value, leaves, axis=0) for end in (np.minimum, np.maximum))
        return cls(shift, weights, low - base, high - base, square)


def shares(entries: Entries, coding: Coding, count: int) -> Iterator[Share]:
    """Shares of so many digits each, the lowest ones first."""
    digits = coding(entries.values)
    for low in range(0, len(digits), count):
        yield Share.of(entries, low, digits[low : low + count])


CODINGS: tuple[Coding, ...] = (binary_digits, signed_digits)
