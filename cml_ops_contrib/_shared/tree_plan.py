"""A tree ensemble as sums of bits: which comparisons, which lookups, which weights.

Every comparison is a step, `x > cut`. Sums of steps are looked up for paths (`tree_forks`) or for
whole subtrees (`tree_packs`), whichever is cheaper (`tree_choice`). What leaves add is rounded to
integers, whose digits go to several results (`tree_results`). The client puts them together.

How dear a lookup is depends on its width and on what is asked of its result, and both on what is
chosen. So several plans are made at the prices of the table of measured complexities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from cml_core.plugin_api import demand_steps, lookup_complexity
from cml_ops_contrib._shared.tree_choice import Choice, Summed
from cml_ops_contrib._shared.tree_entries import Entries
from cml_ops_contrib._shared.tree_forks import Grove
from cml_ops_contrib._shared.tree_results import Layout, Layouts, Result, demand, grouped
from cml_ops_contrib._shared.tree_stages import Plan, assembled
from cml_ops_contrib._shared.trees import Ensemble

__all__ = ["Draft", "make_plans"]

#: Bits of the largest leaf, beside its sign.
_LEAF_BITS = 12
#: By how much, relatively, the sum of a leaf's values may vary for it to count as constant.
_CONSTANT = 1e-5
#: Bits of paths, and of packed integers.
_PATH, _PACKED = 2, (3, 4)
#: Up to which demands lookups of two bits, and of up to four, cost least (measured with
#: concrete-python 2.11). Results that add up lookups of several widths ask for half a bit more.
_LEAST = 5.19, 9.3
#: How far below the table's steps demands stay.
_RESERVE = 0.25
#: How many steps are tried where lookups give bits, and where they give all bits of a leaf.
_TRIED, _SUMMED = 2, 4
#: A demand that no result reaches.
_ANY = 40.0


def make_plans(ensemble: Ensemble) -> list[Plan]:
    """Plan an ensemble whose trees are added up.

    Returns
    -------
    list of Plan
        By paths alone; and those that are cheaper, if steps cost nothing. Whether they are depends
        on how steps are encrypted, and so on who runs them. Plans of as many results have the
        same results.
    """
    draft = Draft.of(ensemble)
    paths, *others = min(draft.told(), key=lambda plans: min(plan.cost for plan in plans))
    plans = [paths, *(plan for plan in others if plan.cost < paths.cost)]
    least = min(plan.cost for plan in plans)
    summed = min(draft.summed(), key=lambda plan: plan.cost, default=paths)
    if summed.cost < least and len(summed.top) != len(paths.top):
        plans.append(summed)
    return plans


@attrs.frozen(slots=True, eq=False)
class Draft:
    """What plans of an ensemble are made of."""

    grove: Grove
    leaves: np.ndarray
    spread: np.ndarray
    base: np.ndarray
    choice: Choice

    @classmethod
    def of(cls, ensemble: Ensemble) -> Draft:
        grove = Grove.of(ensemble)
        leaves, kept, spread, base = _integers(ensemble)
        leaves = leaves[:, kept]
        return cls(grove, leaves, spread, base, Choice(grove, leaves))

    def told(self) -> Iterator[list[Plan]]:
        """Plans whose lookups give bits, at several prices: by paths, and with packed subtrees."""
        paths = self._entries({_PATH: 1.0})
        layouts = Layouts(paths, self.grove.variables)
        lookups = bool((paths.variable >= self.grove.steps.count).any())
        tried = 0
        # Comparisons, too, may be lookups of three or four bits, and are not to become dearer.
        for most in (*_LEAST, *_limits((_PATH,)), _ANY):
            found = False
            for packed in range(len(_PACKED) + 1):
                widths = (_PATH, *_PACKED[:packed])
                least = max(widths) if lookups else 1
                layout, entries = layouts.best(most, least), paths
                if packed:
                    entries = self._entries({w: lookup_complexity(w, most) for w in widths})
                    layout = layout or Layouts(entries, self.grove.variables).best(most, least)
                if layout is not None:
                    found = True
                    yield [self._told(each, layout) for each in (paths, entries)]
            tried += found
            if tried == _TRIED:
                return

    def _entries(self, prices: dict[int, float]) -> Entries:
        return Entries.of(self.choice.told(prices), self.leaves)

    def _told(self, entries: Entries, layout: Layout) -> Plan:
        results = layout.results(entries, self.grove.variables)
        return assembled(self.grove, results, self.spread, self.base + entries.base @ self.spread)

    def summed(self) -> Iterator[Plan]:
        """Plans whose lookups give what leaves add, at several prices."""
        for most in _limits(_PACKED)[:_SUMMED]:
            prices = {w: lookup_complexity(w, most) for w in _PACKED}
            trees = self.choice.summed({_PATH: lookup_complexity(_PATH, 0.0), **prices})
            if trees is None:
                return
            results = [
                result
                for target in range(self.leaves.shape[1])
                for result in self._sums(trees, target, most)
            ]
            constant = np.sum([tree.constant for tree in trees], axis=0)
            yield assembled(self.grove, results, self.spread, self.base + constant @ self.spread)

    def _sums(self, trees: Sequence[Summed], target: int, most: float) -> Iterator[Result]:
        """Sums of the lookups of as many trees, one after another, as one result may hold."""
        terms, low, high = [], [], []
        for tree in trees:
            mine = [variable for place, variable in tree.variables if place == target]
            if mine:
                terms.append((np.array(mine), np.ones(len(mine), dtype=np.int64)))
                low.append(int(tree.low[target]))
                high.append(int(tree.high[target]))

        def fits(span: int, largest: int, square: float) -> bool:
            return demand(span.bit_length(), square) <= most

        spans = [top - bottom for bottom, top in zip(low, high, strict=True)]
        for group in grouped(terms, spans, self.grove.variables, fits):
            weights = np.zeros(self.grove.variables, dtype=np.int64)
            for k in group:
                weights[terms[k][0]] += 1
            ends = (sum(end[k] for k in group) for end in (low, high))
            yield Result(target, 0, weights, *ends)


def _limits(widths: Sequence[int]) -> list[float]:
    """Demands that stay below the steps of the price of some lookups, ascending."""
    steps = sorted({step for width in widths for step in demand_steps(width)})
    return [step - _RESERVE for step in steps if step > max(_LEAST)]


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
