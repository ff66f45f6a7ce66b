"""What branches of trees add: integers in signed digits, divided among results of few bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import attrs
import numpy as np

__all__ = ["Entries", "Fork", "Terms"]

#: Largest root of the sum of squares of a result's weights. Beyond it, lookups must be less noisy
#: and cost more (measured with concrete-python 2.11: a tenth at 13, half at 20).
_NORM = 13.0

#: A sum of variables: their weights by number; those of a node's indicator are zero or one.
Terms = dict[int, int]


@attrs.frozen(slots=True, eq=False)
class Fork:
    """A node of a tree: the branch that was found and the other one, each a fork or a leaf."""

    terms: Terms
    constant: int
    found: Fork | int
    left: Fork | int


@attrs.frozen(slots=True, eq=False)
class _Part:
    """Some digits of the weights of some trees: what one result for each target is made of."""

    trees: tuple[int, ...]
    shift: int
    digits: np.ndarray


@attrs.frozen(slots=True, eq=False)
class Entries:
    """What all branches add where they are taken, over what their tree adds otherwise.

    Parameters
    ----------
    roots : list of Fork or int
        The trees; one that is a lone leaf is its number.
    number : dict of int to int
        The place of each fork among `forks`, by identity.
    forks : list of Fork
        Of all trees, in each from the bottom up.
    tree : int array of shape (forks,)
        Which tree each is of.
    added : int array of shape (forks, targets)
        What the found branch of each adds over the other.
    base : int array of shape (targets,)
        What all trees add where nothing is found, and the constants of indicators.
    """

    roots: list[Fork | int]
    number: dict[int, int]
    forks: list[Fork]
    tree: np.ndarray
    added: np.ndarray
    base: np.ndarray

    @classmethod
    def of(cls, roots: list[Fork | int], leaves: np.ndarray) -> Entries:
        forks, tree, added = [], [], []
        number: dict[int, int] = {}
        total = np.zeros(leaves.shape[1], dtype=np.int64)
        for t, root in enumerate(roots):
            rest: dict[int, np.ndarray] = {}

            def of(branch: Fork | int, rest: dict[int, np.ndarray] = rest) -> np.ndarray:
                return leaves[branch] if isinstance(branch, int) else rest[id(branch)]

            for fork in _upward(root):
                number[id(fork)] = len(forks)
                forks.append(fork)
                tree.append(t)
                added.append(of(fork.found) - of(fork.left))
                rest[id(fork)] = of(fork.left)
                total = total + fork.constant * added[-1]
            total = total + of(root)
        shape = (len(forks), leaves.shape[1])
        return cls(
            roots,
            number,
            forks,
            np.array(tree, dtype=np.int64),
            np.array(added, dtype=np.int64).reshape(shape),
            total,
        )

    def parts(self) -> list[_Part]:
        """Divide the digits of what is added among results."""
        digits = _signed_digits(self.added)
        parts, low = [], 0
        while low < len(digits):
            part, high = digits[low], low + 1
            while high < len(digits):
                more = part + (digits[high] << (high - low))
                if self._norm(more) > _NORM:
                    break
                part, high = more, high + 1
            parts += [_Part(trees, low, part) for trees in self._divided(part)]
            low = high
        return parts

    def _norm(self, digits: np.ndarray) -> float:
        return float(np.sqrt((digits.astype(np.float64) ** 2).sum(axis=0).max(initial=0.0)))

    def _divided(self, digits: np.ndarray) -> list[tuple[int, ...]]:
        """Trees in groups, each of which keeps to the norm as far as a tree alone does."""
        count = len(self.roots)
        square = np.zeros((count, digits.shape[1]))
        np.add.at(square, self.tree, digits.astype(np.float64) ** 2)
        groups = max(1, int(np.ceil(square.sum(axis=0).max(initial=0.0) / _NORM**2)))
        ends = np.linspace(0, count, min(groups, count) + 1).astype(int)
        return [tuple(range(a, b)) for a, b in pairwise(ends.tolist())]

    def weights(self, part: _Part, variables: int) -> np.ndarray:
        """Weights of all variables in a part, `(variables, targets)`."""
        total = np.zeros((variables, part.digits.shape[1]), dtype=np.int64)
        mine = np.isin(self.tree, part.trees)
        for k in np.flatnonzero(mine).tolist():
            for variable, weight in self.forks[k].terms.items():
                total[variable] += weight * part.digits[k]
        return total

    def range(self, part: _Part) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest value of a part: each tree is in one of its leaves."""
        zero = np.zeros(part.digits.shape[1], dtype=np.int64)
        low = high = zero
        for t in part.trees:
            ends: dict[int, tuple[np.ndarray, np.ndarray]] = {}
            for fork in _upward(self.roots[t]):
                digit = part.digits[self.number[id(fork)]]
                found, left = (
                    (zero, zero) if isinstance(branch, int) else ends[id(branch)]
                    for branch in (fork.found, fork.left)
                )
                ends[id(fork)] = (
                    np.minimum(found[0] + digit, left[0]),
                    np.maximum(found[1] + digit, left[1]),
                )
                # The constants of indicators are in the base.
                low, high = (end - fork.constant * digit for end in (low, high))
            least, most = ends.get(id(self.roots[t]), (zero, zero))
            low, high = low + least, high + most
        return low, high


def _upward(root: Fork | int) -> Iterator[Fork]:
    """The forks of a tree, those below before those above."""
    stack, order = [root], []
    while stack:
        branch = stack.pop()
        if not isinstance(branch, int):
            order.append(branch)
            stack += [branch.found, branch.left]
    return reversed(order)


def _signed_digits(values: np.ndarray) -> list[np.ndarray]:
    """Binary digits -1, 0 and 1 of integers, the lowest first, with no two neighbours set.

    No form has fewer that are not zero (Reitwiesner 1960).
    """
    digits = []
    while values.any():
        digit = np.where(values % 2, 2 - values % 4, 0)
        digits.append(digit)
        values = (values - digit) // 2
    return digits
