"""A tree ensemble as sums of bits: which comparisons, which lookups, which weights.

Every comparison is a step, `x > cut`, and equal ones are made once. What a node asks of its
feature is a sum of steps, so a path asks for a sum of as many bits as it tests features, and has
been taken where all of them are one: a lookup of few bits. Of the two branches of a node one is
looked up and the other is what is left of the node itself; those of the root, and of others that
test one feature only, are steps already. A tree of L leaves thus costs at most L - 2 lookups.
Paths that test more than three features begin at a node that is known already, so no lookup has
more than two bits.

What the leaves add is rounded to integers, and these are written in signed binary digits, which
go to several results: sums of few bits leave the encryption room for more noise. The client puts
them together.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_results import Entries, Fork, Terms
from cml_ops_contrib._shared.trees import Ensemble, Mode

__all__ = ["Plan", "Stage", "make_plan"]

#: Most bits that are added before a lookup: with zero, as many values as two bits have.
_MOST_BITS = 3
#: Bits of the largest leaf, beside its sign.
_LEAF_BITS = 12
#: By how much, relatively, the sum of a leaf's values may vary for it to count as constant.
_CONSTANT = 1e-5


@attrs.frozen(slots=True, eq=False)
class Stage:
    """Lookups that are done together: `[start + sum_k factor_k * variable_k == target]`.

    Parameters
    ----------
    index, factor : int arrays of shape (M, K)
        Variables and their factors; unused places have factor 0.
    start, target : int arrays of shape (M,)
        The sum is from 0 to `target`.
    """

    index: np.ndarray
    factor: np.ndarray
    start: np.ndarray
    target: np.ndarray


@attrs.frozen(slots=True, eq=False)
class Plan:
    """An ensemble ready to be computed on bits.

    Parameters
    ----------
    cuts : float array of shape (T,)
        The first T variables are `x[feature] > cut`.
    feature : int array of shape (T,)
        In ascending order, as the cuts of each feature are.
    stages : tuple of Stage
        Each makes further variables, numbered on.
    weights : int array of shape (variables, R)
        Of each variable in each result.
    low, high : int arrays of shape (R,)
        What each result cannot leave.
    join : float array of shape (R, targets)
        What each result counts in each target.
    base : float array of shape (targets,)
        What is added to all.
    """

    cuts: np.ndarray
    feature: np.ndarray
    stages: tuple[Stage, ...]
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    join: np.ndarray
    base: np.ndarray

    @property
    def lookups(self) -> int:
        """How many lookups there are, beside those that comparisons need."""
        return sum(len(stage.target) for stage in self.stages)


def make_plan(ensemble: Ensemble) -> Plan:
    """Plan an ensemble whose trees are added up."""
    steps = _Steps.of(ensemble)
    builder = _Builder(ensemble, steps)
    for root in ensemble.roots.tolist():
        builder.plant(root)
    return builder.plan()


@attrs.frozen(slots=True, eq=False)
class _Steps:
    """All cuts by feature, and what nodes ask in terms of the bins between them."""

    first: dict[int, int]
    cuts: dict[int, np.ndarray]

    @classmethod
    def of(cls, ensemble: Ensemble) -> _Steps:
        value = ensemble.value
        below = np.nextafter(value, value.dtype.type(-np.inf))
        parts = [
            (ensemble.feature[mine], cut[mine])
            for cut, modes in (
                (value, (Mode.LEQ, Mode.GT, Mode.EQ, Mode.NEQ)),
                (below, (Mode.LT, Mode.GTE, Mode.EQ, Mode.NEQ)),
            )
            for mine in [np.isin(ensemble.mode, modes)]
        ]
        for node, members in ensemble.members.items():
            own = np.full(len(members), ensemble.feature[node])
            members = members.astype(value.dtype)
            parts.append((own, members))
            parts.append((own, np.nextafter(members, value.dtype.type(-np.inf))))
        feature = np.concatenate([part[0] for part in parts])
        cut = np.concatenate([part[1] for part in parts])
        first, cuts, start = {}, {}, 0
        for each in np.unique(feature).tolist():
            cuts[each] = np.unique(cut[feature == each])
            first[each], start = start, start + len(cuts[each])
        return cls(first, cuts)

    @property
    def count(self) -> int:
        """Number of steps, the first variables."""
        return sum(map(len, self.cuts.values()))

    def answer(self, ensemble: Ensemble, node: int) -> np.ndarray:
        """Whether each bin of the node's feature takes its true branch."""
        cuts = self.cuts[int(ensemble.feature[node])]
        # A cut is the largest number of its bin; the last bin has none.
        inside = np.append(cuts, np.inf).astype(ensemble.value.dtype)
        taken = ensemble.answers(np.full(len(inside), node), inside)
        return np.asarray(taken)

    def literal(self, feature: int, bins: np.ndarray) -> tuple[Terms, int]:
        """Whether a feature is in some bins: weights of its steps, and a constant."""
        change = np.diff(bins.astype(np.int64))
        start = self.first[feature]
        return {start + k: int(change[k]) for k in np.flatnonzero(change).tolist()}, int(bins[0])


@attrs.frozen(slots=True, eq=False)
class _Place:
    """A node that some path reaches: where its features are then, and its indicator."""

    bins: dict[int, np.ndarray]
    terms: Terms
    constant: int
    stage: int


@attrs.frozen(slots=True, eq=False)
class _Way:
    """How an indicator is found: the bits that are added, and how many they are."""

    terms: Terms
    constant: int
    count: int
    stage: int


@attrs.define(slots=True, eq=False)
class _Builder:
    ensemble: Ensemble
    steps: _Steps
    trees: list[Fork | int] = attrs.field(factory=list, init=False)
    _made: dict[tuple[object, ...], int] = attrs.field(factory=dict, init=False)
    _lookups: list[_Way] = attrs.field(factory=list, init=False)
    _stage: list[int] = attrs.field(factory=list, init=False)

    def plant(self, root: int) -> None:
        """Add a tree."""
        self.trees.append(self._grow(root, (_Place({}, {}, 1, 0),)))

    def _grow(self, node: int, path: tuple[_Place, ...]) -> Fork | int:
        # Trees are as deep as their makers let them be, well below Python's own limit.
        place = path[-1]
        while node >= 0:
            feature = int(self.ensemble.feature[node])
            answer = self.steps.answer(self.ensemble, node)
            here = place.bins.get(feature, np.ones(len(answer), dtype=bool))
            branches = []
            for child, taken in ((self.ensemble.true, answer), (self.ensemble.false, ~answer)):
                bins = here & taken
                if bins.any():
                    branches.append((int(child[node]), {**place.bins, feature: bins}))
            if len(branches) > 1:
                break
            # Only one branch is possible here.
            node = branches[0][0]
        else:
            return ~node
        ways = [self._way(bins, path) for _, bins in branches]
        # A branch that is a step costs nothing; one that branches on is of use to its own.
        order = sorted(
            (0, 1), key=lambda k: (ways[k].count > 1, branches[k][0] < 0, len(ways[k].terms))
        )
        (found, bins), way = branches[order[0]], ways[order[0]]
        left, left_bins = branches[order[1]]
        terms, constant, stage = self._indicator(way)
        here_found = _Place(bins, terms, constant, stage)
        rest = _sum(place.terms, terms, -1)
        here_left = _Place(left_bins, rest, place.constant - constant, max(place.stage, stage))
        return Fork(
            terms,
            constant,
            self._grow(found, (*path, here_found)),
            self._grow(left, (*path, here_left)),
        )

    def _way(self, bins: dict[int, np.ndarray], path: tuple[_Place, ...]) -> _Way:
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
                more, start = self.steps.literal(feature, _filled(inside, place.bins.get(feature)))
                terms, constant = _sum(terms, more, 1), constant + start
            ways.append(_Way(terms, constant, count, place.stage))
        return min(ways, key=lambda way: (way.count > 1, way.stage, len(way.terms)))

    def _indicator(self, way: _Way) -> tuple[Terms, int, int]:
        """Look an indicator up, or find it among those that were; one bit is one already."""
        if way.count == 1:
            return way.terms, way.constant, way.stage
        key = (tuple(sorted(way.terms.items())), way.constant, way.count)
        if key not in self._made:
            self._made[key] = self.steps.count + len(self._lookups)
            self._lookups.append(way)
        return {self._made[key]: 1}, 0, way.stage + 1

    def plan(self) -> Plan:
        """Give leaves their weights, and leave out what no weight needs."""
        leaves, kept, spread, base = _integers(self.ensemble)
        entries = Entries.of(self.trees, leaves[:, kept])
        base = base + entries.base @ spread
        parts = entries.parts()
        count = self.steps.count + len(self._lookups)
        weights = np.concatenate(
            [entries.weights(part, count) for part in parts] or [np.zeros((count, 0), np.int64)],
            axis=1,
        )
        ends = [entries.range(part) for part in parts]
        low, high = (np.concatenate([e[k] for e in ends] or [np.zeros(0)]) for k in (0, 1))
        join = np.concatenate(
            [spread * 2.0**part.shift for part in parts] or [np.zeros((0, len(base)))]
        )
        used = np.asarray(weights != 0).any(axis=0)
        return self._pruned(weights[:, used], low[used], high[used], join[used], base)

    def _pruned(
        self,
        weights: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        join: np.ndarray,
        base: np.ndarray,
    ) -> Plan:
        steps = self.steps.count
        needed = (weights != 0).any(axis=1)
        for k in range(len(self._lookups) - 1, -1, -1):
            if needed[steps + k]:
                needed[list(self._lookups[k].terms)] = True
        number = np.zeros(len(needed), dtype=np.int64)
        number[:steps] = np.cumsum(needed[:steps]) - 1
        position = int(needed[:steps].sum())
        order, stages = list(np.flatnonzero(needed[:steps])), []
        for stage in range(max((way.stage for way in self._lookups), default=-1) + 1):
            mine = [
                k for k, way in enumerate(self._lookups) if way.stage == stage and needed[steps + k]
            ]
            if not mine:
                continue
            ways = [self._lookups[k] for k in mine]
            width = max(len(way.terms) for way in ways)
            index = np.zeros((len(ways), width), dtype=np.int64)
            factor = np.zeros_like(index)
            for row, way in enumerate(ways):
                index[row, : len(way.terms)] = number[list(way.terms)]
                factor[row, : len(way.terms)] = list(way.terms.values())
            for row, k in enumerate(mine):
                number[steps + k] = position + row
            position += len(ways)
            order += [steps + k for k in mine]
            start, target = (np.array([getattr(w, n) for w in ways]) for n in ("constant", "count"))
            stages.append(Stage(index, factor, start, target))
        features = [f for f in sorted(self.steps.cuts) for _ in self.steps.cuts[f]]
        cuts = [c for f in sorted(self.steps.cuts) for c in self.steps.cuts[f]]
        return Plan(
            np.array(cuts, dtype=np.float64)[needed[:steps]],
            np.array(features, dtype=np.int64)[needed[:steps]],
            tuple(stages),
            weights[order],
            low.astype(np.int64),
            high.astype(np.int64),
            join,
            base,
        )


def _filled(inside: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Bins, with the fewest changes, that are these as far as it is not known already."""
    if known is None:
        return inside
    care = np.flatnonzero(known)
    nearest = np.clip(np.searchsorted(care, np.arange(len(inside)), side="right") - 1, 0, None)
    filled: np.ndarray = inside[care[nearest]]
    return filled


def _sum(terms: Terms, more: Terms, sign: int) -> Terms:
    total = dict(terms)
    for variable, weight in more.items():
        total[variable] = total.get(variable, 0) + sign * weight
    return {variable: weight for variable, weight in total.items() if weight}


def _integers(ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Leaves as integers, and how targets come from them.

    Where no value is negative and those of each leaf of a tree have the same sum, as probabilities
    do, one target is what the others leave of it.

    Returns
    -------
    leaves : int array of shape (leaves, targets)
    kept : int array
        The targets that are computed.
    spread : array of shape (kept, targets)
        What an integer of each of them is worth.
    base : array of shape (targets,)
        What is added.
    """
    values = ensemble.leaves.astype(np.float64)
    targets = values.shape[1]
    largest = np.abs(values).max(axis=0, initial=0.0)
    step = np.where(largest > 0, largest, 1.0) / 2**_LEAF_BITS
    sums = values.sum(axis=1)
    kept, base = np.arange(targets), np.zeros(targets)
    spread = np.diag(step)
    tree = _tree_of_leaf(ensemble)
    first = np.zeros(len(ensemble.roots))
    first[tree] = sums
    close = np.abs(sums - first[tree]) <= _CONSTANT * np.abs(sums).max(initial=0.0)
    if targets > 1 and close.all() and (values >= 0).all():
        dropped = int(np.argmax((values**2).sum(axis=0)))
        kept = np.delete(kept, dropped)
        step = np.full(targets, step.max())
        spread = np.delete(np.diag(step), dropped, axis=0)
        spread[:, dropped] = -step[kept]
        base[dropped] = first.sum()
    return np.rint(values / step).astype(np.int64), kept, spread, base


def _tree_of_leaf(ensemble: Ensemble) -> np.ndarray:
    """Which tree each leaf is of."""
    tree = np.zeros(len(ensemble.leaves), dtype=np.int64)
    front, owner = ensemble.roots, np.arange(len(ensemble.roots))
    while front.size:
        leaf = front < 0
        tree[~front[leaf]] = owner[leaf]
        node, owner = front[~leaf], owner[~leaf]
        front = np.concatenate([ensemble.true[node], ensemble.false[node]])
        owner = np.concatenate([owner, owner])
    return tree
