"""Trees as forks: which of the two branches of a node is found, and from which bits.

What a node asks of its feature is a sum of steps, so a path asks for a sum of as many bits as it
tests features, and has been taken where all of them are one: a lookup of few bits. Of the two
branches of a node one is looked up and the other is what is left of the node itself; those of the
root, and of others that test one feature only, are steps already. A tree of L leaves thus needs
at most L - 2 lookups. Paths that test more than three features begin at a node that is known
already, so no lookup has more than two bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_entries import Terms
from cml_ops_contrib._shared.tree_steps import Steps
from cml_ops_contrib._shared.trees import Ensemble

__all__ = ["Grove", "Node", "Place", "Question", "added", "upward"]

#: Most bits that are added before a lookup: with zero, as many values as two bits have.
_MOST_BITS = 3


@attrs.frozen(slots=True, eq=False)
class Place:
    """A node that some path reaches: where its features are then, and its indicator."""

    bins: dict[int, np.ndarray]
    terms: Terms
    constant: int
    stage: int


@attrs.frozen(slots=True, eq=False)
class Question:
    """A lookup: `table[constant + sum of terms]`, after those of lower stages."""

    terms: Terms
    constant: int
    table: tuple[int, ...]
    stage: int

    @property
    def width(self) -> int:
        """Bits that enter the table."""
        return (len(self.table) - 1).bit_length()


@attrs.frozen(slots=True, eq=False)
class Node:
    """A node of a tree both of whose branches are possible.

    Parameters
    ----------
    place : Place
        Where it is.
    feature : int
        What it tests.
    takes : bool array of shape (bins,)
        In which bins of the feature the branch is taken that is found.
    terms, constant
        Whether that one is taken, given that the node is reached; the other is what is left.
    lookup : int or None
        The variable that finds it; None if it is a step already.
    found, left : Node or int
        The branches, each a node or a leaf.
    """

    place: Place
    feature: int
    takes: np.ndarray
    terms: Terms
    constant: int
    lookup: int | None
    found: Node | int
    left: Node | int


@attrs.frozen(slots=True, eq=False)
class _Way:
    """How an indicator is found: the bits that are added, and how many they are."""

    terms: Terms
    constant: int
    count: int
    stage: int


@attrs.define(slots=True, eq=False)
class Grove:
    """All trees of an ensemble and what is looked up for them.

    The first variables are the steps, those after them the results of questions.
    """

    ensemble: Ensemble
    steps: Steps
    questions: list[Question] = attrs.field(factory=list, init=False)
    trees: list[Node | int] = attrs.field(factory=list, init=False)
    _made: dict[tuple[object, ...], int] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, ensemble: Ensemble) -> Grove:
        """Grow all trees of an ensemble."""
        grove = cls(ensemble, Steps.of(ensemble))
        for root in ensemble.roots.tolist():
            grove.trees.append(grove._grow(root, (Place({}, {}, 1, 0),)))
        return grove

    @property
    def variables(self) -> int:
        """How many variables there are."""
        return self.steps.count + len(self.questions)

    def ask(self, question: Question) -> int:
        """The variable of a lookup; equal ones are made once."""
        key = (tuple(sorted(question.terms.items())), question.constant, question.table)
        if key not in self._made:
            self._made[key] = self.variables
            self.questions.append(question)
        return self._made[key]

    def _grow(self, node: int, path: tuple[Place, ...]) -> Node | int:
        # Trees are as deep as their makers let them be, well below Python's own limit.
        place = path[-1]
        while node >= 0:
            feature = int(self.ensemble.feature[node])
            answer = self.steps.answer(self.ensemble, node)
            here = place.bins.get(feature, np.ones(len(answer), dtype=bool))
            branches = []
            for child, taken in ((self.ensemble.true, answer), (self.ensemble.false, ~answer)):
                if (here & taken).any():
                    bins = {**place.bins, feature: here & taken}
                    branches.append((int(child[node]), bins, taken))
            if len(branches) > 1:
                break
            # Only one branch is possible here.
            node = branches[0][0]
        else:
            return ~node
        ways = [self._way(bins, path) for _, bins, _ in branches]
        # A branch that is a step costs nothing; one that branches on is of use to its own.
        order = sorted(
            (0, 1), key=lambda k: (ways[k].count > 1, branches[k][0] < 0, len(ways[k].terms))
        )
        (found, bins, takes), way = branches[order[0]], ways[order[0]]
        left, left_bins, _ = branches[order[1]]
        terms, constant, stage, lookup = self._indicator(way)
        rest = added(place.terms, terms, -1)
        here_left = Place(left_bins, rest, place.constant - constant, max(place.stage, stage))
        return Node(
            place,
            feature,
            takes,
            terms,
            constant,
            lookup,
            self._grow(found, (*path, Place(bins, terms, constant, stage))),
            self._grow(left, (*path, here_left)),
        )

    def _way(self, bins: dict[int, np.ndarray], path: tuple[Place, ...]) -> _Way:
        """The cheapest way to find an indicator from that of some node on its path."""
        ways = []
        for depth, place in enumerate(path):
            new = {
                f: b for f, b in bins.items() if f not in place.bins or (place.bins[f] != b).any()
            }
            count = len(new) + (depth > 0)
            if count > _MOST_BITS:
                continue
            terms, constant = (dict(place.terms), place.constant) if depth else ({}, 0)
            for feature, inside in new.items():
                values = _filled(inside, place.bins.get(feature))
                more, start = self.steps.expressed(feature, values)
                terms, constant = added(terms, more), constant + start
            ways.append(_Way(terms, constant, count, place.stage))
        return min(ways, key=lambda way: (way.count > 1, way.stage, len(way.terms)))

    def _indicator(self, way: _Way) -> tuple[Terms, int, int, int | None]:
        """Look an indicator up, or find it among those that were; one bit is one already."""
        if way.count == 1:
            return way.terms, way.constant, way.stage, None
        table = tuple(int(total == way.count) for total in range(2 ** way.count.bit_length()))
        variable = self.ask(Question(way.terms, way.constant, table, way.stage))
        return {variable: 1}, 0, way.stage + 1, variable


def _filled(inside: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Bins, with the fewest changes, that are these as far as it is not known already."""
    if known is None:
        return inside
    care = np.flatnonzero(known)
    nearest = np.clip(np.searchsorted(care, np.arange(len(inside)), side="right") - 1, 0, None)
    filled: np.ndarray = inside[care[nearest]]
    return filled


def added(terms: Terms, more: Terms, sign: int = 1) -> Terms:
    """The sum of two sums of variables, the second one times a number."""
    total = dict(terms)
    for variable, weight in more.items():
        total[variable] = total.get(variable, 0) + sign * weight
    return {variable: weight for variable, weight in total.items() if weight}


def upward(root: Node | int) -> Iterator[Node]:
    """The nodes of a tree, those below before those above."""
    stack, order = [root], []
    while stack:
        branch = stack.pop()
        if isinstance(branch, Node):
            order.append(branch)
            stack += [branch.found, branch.left]
    return reversed(order)
