"""Which subtrees are looked up as a whole, and which path by path: whatever costs less.

A subtree of m nodes by paths is about m lookups of two bits. Packed into one integer it is, for
leaves of d different values, d - 1 lookups that say which of them is reached ("told"), or one for
each target whose table holds what the leaves add ("summed"). Results of the former are bits, whose
weights may be divided among results as those of paths are. Those of the latter have all bits of a
leaf, which makes their lookups dearer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_entries import Fork
from cml_ops_contrib._shared.tree_forks import Grove, Node, Question, upward
from cml_ops_contrib._shared.tree_packs import MOST_STATES, Pack, pack_of

__all__ = ["Choice", "Summed"]

#: Least bits of a lookup that gives what leaves add; those of less bits stay cheap for paths.
_LEAST = 3

#: By width in bits that enters the table: what a lookup costs.
Prices = Mapping[int, float]


@attrs.frozen(slots=True, eq=False)
class Summed:
    """A tree as lookups that add up to what its leaves add, but for a constant.

    Parameters
    ----------
    variables : tuple of (int, int)
        Targets, and the lookups' variables.
    constant : int array of shape (targets,)
        What is to be added.
    low, high : int arrays of shape (targets,)
        What the lookups' sum cannot leave.
    """

    variables: tuple[tuple[int, int], ...]
    constant: np.ndarray
    low: np.ndarray
    high: np.ndarray


@attrs.define(slots=True, eq=False)
class Choice:
    """Chooses for all trees of an ensemble.

    Parameters
    ----------
    grove : Grove
        The trees.
    leaves : int array of shape (leaves, targets)
        What each leaf adds.
    """

    grove: Grove
    leaves: np.ndarray
    _kind: list[int] = attrs.field(init=False)
    _nodes: list[list[Node]] = attrs.field(init=False)
    _users: Counter[int] = attrs.field(init=False)
    _packs: dict[int, Pack | None] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        _, kind = np.unique(self.leaves, axis=0, return_inverse=True)
        self._kind = kind.reshape(-1).tolist()
        self._nodes = [list(upward(root)) for root in self.grove.trees]
        found = (node.lookup for nodes in self._nodes for node in nodes)
        self._users = Counter(variable for variable in found if variable is not None)

    def told(self, prices: Prices) -> list[Fork | int]:
        """The trees by paths, and packed where that is cheaper, at prices for some widths."""
        trees = zip(self.grove.trees, self._nodes, strict=True)
        return [self._told(root, nodes, prices) for root, nodes in trees]

    def summed(self, prices: Prices) -> list[Summed] | None:
        """The trees packed as a whole, or subtree by subtree; None if some tree cannot be.

        Prices are those of lookups of all bits of a leaf, but for the least width, which is that
        of paths.
        """
        found = []
        for root, nodes in zip(self.grove.trees, self._nodes, strict=True):
            tree = self._summed(root, nodes, prices)
            if tree is None:
                return None
            found.append(tree)
        return found

    def _pack(self, node: Node) -> Pack | None:
        if id(node) not in self._packs:
            self._packs[id(node)] = pack_of(node, self.grove.steps)
        return self._packs[id(node)]

    def _parting(self, node: Node, prices: Prices) -> float:
        """What it costs to tell the branches of a node apart, shared with those who do so too."""
        return 0.0 if node.lookup is None else prices[2] / self._users[node.lookup]

    def _told(self, root: Node | int, nodes: Sequence[Node], prices: Prices) -> Fork | int:
        kinds: dict[int, frozenset[int]] = {}
        costs: dict[int, float] = {}
        chosen: dict[int, Fork | int] = {}

        def of(branch: Node | int) -> tuple[frozenset[int], float, Fork | int]:
            if isinstance(branch, int):
                return frozenset({self._kind[branch]}), 0.0, branch
            key = id(branch)
            return kinds[key], costs[key], chosen[key]

        for node in nodes:
            (some, cost, found), (more, other, left) = of(node.found), of(node.left)
            key = id(node)
            # Of more kinds than a pack may have, it does not matter which they are.
            kinds[key] = frozenset(list(some | more)[: MOST_STATES + 1])
            costs[key] = cost + other + self._parting(node, prices)
            chosen[key] = Fork(node.terms, node.constant, found, left)
            different = len(kinds[key]) - 1
            if different == 0:
                costs[key], chosen[key] = 0.0, found
                continue
            if different * min(prices.values()) >= costs[key]:
                continue
            pack = self._pack(node)
            if pack is not None and different * prices.get(pack.width, math.inf) < costs[key]:
                costs[key] = different * prices[pack.width]
                chosen[key] = self._chain(pack)
        return of(root)[2]

    def _chain(self, pack: Pack) -> Fork | int:
        """A pack as forks, one for each kind of leaf but the last one, which is left."""
        kinds = [-1 if leaf < 0 else self._kind[leaf] for leaf in pack.leaf.tolist()]
        members = dict(zip(kinds, pack.leaf.tolist(), strict=True))
        members.pop(-1, None)
        *others, last = sorted(members, key=lambda kind: (kinds.count(kind), kind))
        chain: Fork | int = members[last]
        for kind in others:
            table = np.array(kinds) == kind
            chain = Fork({self._ask(pack, table, pack.width): 1}, 0, members[kind], chain)
        return chain

    def _ask(self, pack: Pack, values: np.ndarray, width: int) -> int:
        table = np.zeros(2**width, dtype=np.int64)
        table[: len(values)] = values
        return self.grove.ask(
            Question(pack.terms, pack.constant, tuple(table.tolist()), pack.stage)
        )

    def _summed(self, root: Node | int, nodes: Sequence[Node], prices: Prices) -> Summed | None:
        if isinstance(root, int):
            nothing = np.zeros_like(self.leaves[root])
            return Summed((), self.leaves[root], nothing, nothing)
        # The constant is what a leaf adds that is not packed, or the least of all.
        alone = {b for node in nodes for b in (node.found, node.left) if isinstance(b, int)}
        apart = {
            branch
            for node in nodes
            if self._pack(node) is None
            for branch in (node.found, node.left)
            if isinstance(branch, int)
        }
        constants = [self.leaves[list(alone)].min(axis=0), *(self.leaves[leaf] for leaf in apart)]
        found = [(self._packed(nodes, constant, prices), constant) for constant in constants]
        (cost, packs), constant = min(found, key=lambda each: each[0][0])
        if math.isinf(cost):
            return None
        variables = []
        low = high = np.zeros_like(constant)
        for pack in packs:
            reached = pack.leaf >= 0
            values = np.where(reached[:, np.newaxis], self.leaves[pack.leaf] - constant, 0)
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
            variables += [
                (target, self._ask(pack, values[:, target], _width(pack)))
                for target in np.flatnonzero(values.any(axis=0)).tolist()
            ]
        return Summed(tuple(variables), constant, low, high)

    def _packed(
        self, nodes: Sequence[Node], constant: np.ndarray, prices: Prices
    ) -> tuple[float, list[Pack]]:
        """The cheapest packs that hold all leaves of a tree which add something else."""
        best: dict[int, tuple[float, list[Pack]]] = {}

        def of(branch: Node | int) -> tuple[float, list[Pack]]:
            if isinstance(branch, int):
                return (0.0 if (self.leaves[branch] == constant).all() else math.inf), []
            return best[id(branch)]

        for node in nodes:
            (cost, packs), (other, more) = of(node.found), of(node.left)
            best[id(node)] = cost + other + self._parting(node, prices), packs + more
            pack = self._pack(node)
            if pack is None:
                continue
            differ = self.leaves[pack.leaf[pack.leaf >= 0]] != constant
            cost = prices[_width(pack)] * int(differ.any(axis=0).sum())
            if cost < best[id(node)][0]:
                best[id(node)] = cost, [pack] if cost else []
        return best[id(nodes[-1])]


def _width(pack: Pack) -> int:
    """Bits of a lookup that gives what leaves add: paths keep to themselves."""
    return max(pack.width, _LEAST)
