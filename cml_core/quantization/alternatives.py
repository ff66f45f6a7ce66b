"""Bits that are conjunctions of other bits: alternatives are told apart one by one.

`a and b` and `a and not b` are what is left of one another in `a`. So where many conjunctions are
asked for that divide what others leave, as the paths of trees do, half of them need no lookup, and
of the others each needs one of two bits: long ones begin at one that is known already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import attrs
import numpy as np

__all__ = ["Asked", "Conjunction", "Plan", "planned"]

#: Literals of a conjunction; `2 * k + 1` is bit k, `2 * k` its negation.
Conjunction = frozenset[int]

#: Most terms of a lookup of two bits.
_TERMS = 3


@attrs.frozen(slots=True, eq=False)
class Asked:
    """A lookup: whether `start` and some variables add up to `most`.

    Parameters
    ----------
    terms : mapping of int to int
        Factors of variables: bits below `bits`, earlier lookups from there on.
    start, most : int
        What is added, and the largest sum.
    stage : int
        After how many others it can be done.
    """

    terms: Mapping[int, int]
    start: int
    most: int
    stage: int


@attrs.define(slots=True, eq=False)
class Plan:
    """How conjunctions are computed from bits.

    Parameters
    ----------
    bits : int
        How many bits there are; they are the first variables.
    scale : mapping of int to (int, int)
        Of bits that say whether some number exceeds a value, which number it is, and the rank of
        the value among those that it is compared with.
    asked : list of Asked
        The lookups, which are the others.
    values : dict
        Of each conjunction, factors of variables and what is added.
    pairs : dict
        By conjunction, the pairs of others of which exactly one holds if it does.
    tops : list of Conjunction
        Those that are in no pair.
    """

    bits: int
    scale: Mapping[int, tuple[int, int]] = attrs.field(factory=dict)
    asked: list[Asked] = attrs.field(factory=list)
    values: dict[Conjunction, tuple[dict[int, int], int]] = attrs.field(factory=dict)
    pairs: dict[Conjunction, list[tuple[Conjunction, Conjunction]]] = attrs.field(
        factory=lambda: defaultdict(list)
    )
    tops: list[Conjunction] = attrs.field(factory=list)

    def ends(self, added: Mapping[Conjunction, np.ndarray], size: int) -> tuple[np.ndarray, ...]:
        """The least and the most that conjunctions add up to, if each adds some integers.

        Parameters
        ----------
        added : mapping of Conjunction to int array of shape (size,)
            What each of them adds where it holds.
        size : int
            How many sums there are.
        """
        found = []
        nothing = np.zeros(size, dtype=np.int64)
        for choose in (np.minimum, np.maximum):
            end: dict[Conjunction, np.ndarray] = {}
            for each in sorted(self.values, key=len, reverse=True):
                total = added.get(each, nothing)
                for one, other in self.pairs.get(each, ()):
                    total = total + choose(end[one], end[other])
                end[each] = total
            always = Conjunction()
            sums = [end[top] if top == always else choose(end[top], 0) for top in self.tops]
            found.append(sum(sums, nothing))
        return tuple(found)

    def _stage(self, terms: Iterable[int]) -> int:
        return max(
            (self.asked[v - self.bits].stage + 1 for v in terms if v >= self.bits), default=0
        )

    def _counted(self, literals: Iterable[int]) -> tuple[dict[int, int], int, int]:
        """Bits that are counted, what is added to them, and how many that makes if all hold.

        Of bits that are steps of one number the last that it exceeds counts, less the first that
        it does not exceed: a difference that is zero or one.
        """
        above: dict[int, int] = {}
        below: dict[int, int] = {}
        terms: dict[int, int] = {}
        start = most = 0
        for literal in literals:
            bit, holds = literal >> 1, literal & 1
            if bit in self.scale:
                number, rank = self.scale[bit]
                side = above if holds else below
                other = side.setdefault(number, bit)
                if (self.scale[other][1] < rank) == bool(holds):
                    side[number] = bit
                continue
            terms[bit] = terms.get(bit, 0) + (1 if holds else -1)
            start, most = start + 1 - holds, most + 1
        for number in sorted({*above, *below}):
            most += 1
            if number in above:
                terms[above[number]] = terms.get(above[number], 0) + 1
            if number in below:
                terms[below[number]] = terms.get(below[number], 0) - 1
                start += 1
            if number in above and number in below:
                if self.scale[above[number]][1] < self.scale[below[number]][1]:
                    start -= 1
                else:
                    most += 1  # Both never hold at once.
        return {bit: factor for bit, factor in terms.items() if factor}, start, most

    def _look_up(self, conjunction: Conjunction, known: list[Conjunction]) -> None:
        """Ask for a conjunction, from others that hold where it does if it is long."""
        terms, start, most = self._counted(conjunction)
        if most > _TERMS:
            begun = []
            for each in known:
                rest, constant, count = self._counted(conjunction - each)
                if count < _TERMS:
                    begun.append((self._noise(each), count, each, rest, constant))
            if begun:
                _, most, begin, terms, start = min(begun, key=lambda each: (each[0], -each[1]))
                more, constant = self.values[begin]
                for variable, factor in more.items():
                    terms[variable] = terms.get(variable, 0) + factor
                start, most = start + constant, most + 1
                terms = {variable: factor for variable, factor in terms.items() if factor}
        self.values[conjunction] = {self.bits + len(self.asked): 1}, 0
        self.asked.append(Asked(terms, start, most, self._stage(terms)))

    def _noise(self, conjunction: Conjunction) -> int:
        terms, _ = self.values[conjunction]
        return sum(factor**2 for variable, factor in terms.items() if variable >= self.bits)

    def _is_free(self, conjunction: Conjunction) -> bool:
        """Whether a conjunction needs no lookup; its value is known then."""
        if conjunction in self.values:
            return True
        terms, start, most = self._counted(conjunction)
        if most <= 1:
            self.values[conjunction] = terms, start if conjunction else 1
        return most <= 1

    def add(self, conjunction: Conjunction) -> None:
        """Find the value of a conjunction that is in no pair."""
        if not self._is_free(conjunction):
            self._look_up(conjunction, [])

    def part(
        self, whole: Conjunction, one: Conjunction, other: Conjunction, known: list[Conjunction]
    ) -> None:
        """Find the values of the two parts of a conjunction."""
        free = [self._is_free(each) for each in (one, other)]
        if not any(free):
            # What others begin at should be as fresh as can be.
            first = one if len(self.pairs.get(one, ())) >= len(self.pairs.get(other, ())) else other
            self._look_up(first, known)
        for found, left in ((one, other), (other, one)):
            if left not in self.values:
                (terms, constant), (less, start) = self.values[whole], self.values[found]
                terms = dict(terms)
                for variable, factor in less.items():
                    terms[variable] = terms.get(variable, 0) - factor
                self.values[left] = {v: f for v, f in terms.items() if f}, constant - start


def planned(
    conjunctions: Iterable[Conjunction], bits: int, scale: Mapping[int, tuple[int, int]]
) -> Plan:
    """Plan how to compute conjunctions of some of `bits` bits; see `Plan` for `scale`."""
    plan = Plan(bits, scale)
    levels: dict[int, dict[Conjunction, None]] = defaultdict(dict)
    for each in conjunctions:
        levels[len(each)][each] = None
    above: dict[Conjunction, Conjunction] = {}
    for size in range(max(levels, default=0), 0, -1):
        for each in levels[size]:
            if each in above:
                continue
            for literal in sorted(each):
                whole = each - {literal}
                other = whole | {literal ^ 1}
                if other in levels[size] and other not in above:
                    above[each] = above[other] = whole
                    plan.pairs[whole].append((each, other))
                    levels[size - 1][whole] = None
                    break
    for size in range(max(levels, default=0) + 1):
        for each in levels[size]:
            if each not in above:
                plan.tops.append(each)
                plan.add(each)
            known = [each]
            while known[-1] in above:
                known.append(above[known[-1]])
            for one, other in plan.pairs.get(each, ()):
                plan.part(each, one, other, known)
    return plan
