"""Tree ensembles as arrays, and their evaluation: all samples walk all trees level by level."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["Ensemble", "Mode", "classic_ensemble", "flat_ensemble"]

#: Entries of (sample, tree, target) that are summed at once.
_AT_ONCE = 2**22


class Mode:
    """What a node asks of its feature, as TreeEnsemble numbers them."""

    LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)
    NAMES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


_TESTS = {
    Mode.LEQ: np.less_equal,
    Mode.LT: np.less,
    Mode.GTE: np.greater_equal,
    Mode.GT: np.greater,
    Mode.EQ: np.equal,
    Mode.NEQ: np.not_equal,
}


@attrs.frozen(slots=True, eq=False)
class Ensemble:
    """Nodes and leaves of all trees.

    Parameters
    ----------
    feature, mode : int arrays of shape (nodes,)
        Which feature a node asks for, and what; see `Mode`.
    value : float array of shape (nodes,)
        What it compares with.
    missing : bool array of shape (nodes,)
        Whether NaN takes the true branch.
    true, false : int arrays of shape (nodes,)
        Where the branches lead: a node, or `~leaf`.
    roots : int array of shape (trees,)
        Likewise.
    leaves : float array of shape (leaves, targets)
        What each leaf adds.
    members : dict of int to array
        For nodes of mode MEMBER, the values that take the true branch.
    stated : bool array of shape (leaves, targets), optional
        Whether a leaf says anything of a target; without it, all do of all.
    """

    feature: np.ndarray
    mode: np.ndarray
    value: np.ndarray
    missing: np.ndarray
    true: np.ndarray
    false: np.ndarray
    roots: np.ndarray
    leaves: np.ndarray
    members: dict[int, np.ndarray] = attrs.field(factory=dict)
    stated: np.ndarray | None = None
    # What `answers` asks of all nodes, at every level of every call.
    _modes: list[int] = attrs.field(init=False, repr=False)
    _tracks: bool = attrs.field(init=False, repr=False)

    @_modes.default
    def _occurring(self) -> list[int]:
        return np.unique(self.mode).tolist()

    @_tracks.default
    def _any_missing(self) -> bool:
        return bool(self.missing.any())

    @property
    def features(self) -> int:
        """The fewest features that the ensemble can be asked with."""
        return int(self.feature.max(initial=0)) + 1

    def answers(self, node: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Whether values take the true branch of nodes; arrays of one shape."""
        value = self.value[node]
        if len(self._modes) == 1 and not self.members:
            taken = _TESTS[self._modes[0]](x, value)
        else:
            taken = np.zeros(node.shape, dtype=bool)
            mode = self.mode[node]
            for each in self._modes:
                if each != Mode.MEMBER:
                    taken = np.where(mode == each, _TESTS[each](x, value), taken)
            for place, members in self.members.items():
                here = node == place
                if here.any():
                    taken[here] = np.isin(x[here], members)
        if self._tracks and x.dtype.kind == "f":
            taken = taken | (np.isnan(x) & self.missing[node])
        return taken

    def reached(self, x: np.ndarray) -> np.ndarray:
        """The leaf that each sample `(N, F)` reaches in each tree, `(N, trees)`."""
        rows = np.arange(len(x))[:, np.newaxis]
        at = np.repeat(self.roots[np.newaxis], len(x), axis=0)
        while True:
            inner = at >= 0
            if not inner.any():
                return ~at
            node = np.where(inner, at, 0)
            taken = self.answers(node, x[rows, self.feature[node]])
            at = np.where(inner, np.where(taken, self.true[node], self.false[node]), at)

    def aggregated(self, x: np.ndarray, how: str) -> np.ndarray:
        """What the leaves of all trees add up to (SUM, AVERAGE, MIN, MAX), `(N, targets)`.

        The least and the largest are of the leaves that say something of a target, else zero.
        """
        trees, targets = len(self.roots), self.leaves.shape[1]
        step = max(1, _AT_ONCE // max(1, trees * targets))
        parts = []
        for start in range(0, len(x), step):
            leaf = self.reached(x[start : start + step])
            found = self.leaves[leaf].astype(np.float64)
            if how in ("MIN", "MAX"):
                parts.append(self._extreme(found, leaf, how))
            else:
                parts.append(found.sum(axis=1))
        total = np.concatenate(parts) if parts else np.zeros((0, targets))
        return total / trees if how == "AVERAGE" else total

    def _extreme(self, found: np.ndarray, leaf: np.ndarray, how: str) -> np.ndarray:
        function, end = (np.min, np.inf) if how == "MIN" else (np.max, -np.inf)
        if self.stated is None:
            return function(found, axis=1, initial=end)
        stated = self.stated[leaf]
        best = function(found, axis=1, initial=end, where=stated)
        return np.where(stated.any(axis=1), best, 0.0)


def classic_ensemble(kind: str, targets: int, attributes: dict[str, Any]) -> Ensemble:
    """Read the attributes of TreeEnsembleClassifier (`kind="class"`) or -Regressor (`"target"`).

    Raises
    ------
    AttributeValueError
        They contradict each other.
    """

    def numbers(name: str) -> np.ndarray:
        exact = attributes.get(f"{name}_as_tensor")
        if exact is not None and exact.size:
            return exact.reshape(-1)
        return np.asarray(attributes.get(name) or (), dtype=np.float32)

    def ints(name: str) -> np.ndarray:
        return np.asarray(attributes[name] or (), dtype=np.int64)

    tree, number = ints("nodes_treeids"), ints("nodes_nodeids")
    count = len(tree)
    value = numbers("nodes_values")
    feature, true, false = (
        ints(f"nodes_{n}") for n in ("featureids", "truenodeids", "falsenodeids")
    )
    modes = attributes["nodes_modes"] or ()
    columns = {
        "nodes_nodeids": number,
        "nodes_featureids": feature,
        "nodes_values": value,
        "nodes_modes": modes,
        "nodes_truenodeids": true,
        "nodes_falsenodeids": false,
    }
    for name, column in columns.items():
        if len(column) != count or not count:
            raise AttributeValueError(
                f"number of {name}", len(column), f"{count}, one for each node, and not none"
            )
    unknown = set(modes) - {*Mode.NAMES, "LEAF"}
    if unknown:
        raise AttributeValueError("nodes_modes", unknown.pop(), ", ".join((*Mode.NAMES, "LEAF")))
    mode = np.array([Mode.NAMES.index(m) if m != "LEAF" else -1 for m in modes])
    places = _Places(tree, number)
    inner = mode >= 0
    weights = numbers(f"{kind}_weights")
    owner = places.of(f"{kind}_nodeids", ints(f"{kind}_treeids"), ints(f"{kind}_nodeids"))
    target = ints(f"{kind}_ids")
    if not len(owner) == len(target) == len(weights):
        raise AttributeValueError(f"number of {kind}_weights", len(weights), f"{len(owner)}")
    if target.size and not 0 <= target.min() <= target.max() < targets:
        raise AttributeValueError(f"{kind}_ids", int(target.max()), f"from 0 to below {targets}")
    leaf = np.cumsum(~inner) - 1
    leaves = np.zeros((int((~inner).sum()), targets), dtype=weights.dtype)
    if inner[owner].any():
        raise AttributeValueError(f"{kind}_nodeids", int(number[owner[inner[owner]][0]]), "a leaf")
    stated = np.zeros(leaves.shape, dtype=bool)
    np.add.at(leaves, (leaf[owner], target), weights)
    stated[leaf[owner], target] = True
    index = np.where(inner, np.cumsum(inner) - 1, ~leaf)
    branches = []
    for name, ids in (("nodes_truenodeids", true), ("nodes_falsenodeids", false)):
        branches.append(places.of(name, tree[inner], ids[inner]))
    child = np.zeros(count, dtype=bool)
    for branch in branches:
        child[branch] = True
    (roots,) = np.nonzero(~child)
    if not np.array_equal(np.sort(tree[roots]), np.unique(tree)):
        raise AttributeValueError(
            "branches", "nodes that lead nowhere", "trees, each with one root"
        )
    missing = attributes.get("nodes_missing_value_tracks_true") or ()
    tracks = np.zeros(count, dtype=bool)
    tracks[: len(missing)] = np.asarray(missing, dtype=bool)
    return _checked(
        Ensemble(
            feature[inner],
            mode[inner],
            value[inner],
            tracks[inner],
            *(index[branch] for branch in branches),
            index[roots],
            leaves,
            stated=stated,
        )
    )


@attrs.frozen(slots=True, eq=False)
class _Places:
    """Finds nodes by the number of their tree and their own."""

    tree: np.ndarray
    number: np.ndarray
    _known: dict[tuple[int, int], int] = attrs.field(init=False)

    @_known.default
    def _numbered(self) -> dict[tuple[int, int], int]:
        return {
            pair: k
            for k, pair in enumerate(zip(self.tree.tolist(), self.number.tolist(), strict=True))
        }

    def of(self, name: str, tree: np.ndarray, number: np.ndarray) -> np.ndarray:
        try:
            pairs = zip(tree.tolist(), number.tolist(), strict=True)
            return np.array([self._known[pair] for pair in pairs], dtype=np.int64)
        except KeyError as error:
            wanted, node = error.args[0]
            raise AttributeValueError(name, node, f"a node of tree {wanted}") from None


def flat_ensemble(attributes: dict[str, Any]) -> Ensemble:
    """Read the attributes of TreeEnsemble.

    Raises
    ------
    AttributeValueError
        They contradict each other.
    """

    def ints(name: str) -> np.ndarray:
        return np.asarray(attributes[name] if attributes[name] is not None else (), dtype=np.int64)

    weights, targets = attributes["leaf_weights"].reshape(-1), ints("leaf_targetids")
    count = int(attributes["n_targets"] or targets.max(initial=0) + 1)
    if len(targets) != len(weights) or (
        targets.size and not 0 <= targets.min() <= targets.max() < count
    ):
        expected = f"{len(weights)} numbers from 0 to below {count}"
        raise AttributeValueError("leaf_targetids", targets.tolist(), expected)
    leaves = np.zeros((len(weights), count), dtype=weights.dtype)
    leaves[np.arange(len(weights)), targets] = weights
    stated = np.zeros(leaves.shape, dtype=bool)
    stated[np.arange(len(weights)), targets] = True
    mode = attributes["nodes_modes"].reshape(-1).astype(np.int64)
    if mode.size and not 0 <= mode.min() <= mode.max() <= Mode.MEMBER:
        raise AttributeValueError("nodes_modes", int(mode.max()), "from 0 to 6")
    branches = []
    for side in ("true", "false"):
        to, is_leaf = ints(f"nodes_{side}nodeids"), ints(f"nodes_{side}leafs").astype(bool)
        if len(to) != len(mode) or len(is_leaf) != len(mode):
            raise AttributeValueError(f"number of nodes_{side}nodeids", len(to), f"{len(mode)}")
        branches.append(np.where(is_leaf, ~to, to))
    tracks = ints("nodes_missing_value_tracks_true").astype(bool)
    missing = np.zeros(len(mode), dtype=bool)
    missing[: len(tracks)] = tracks
    roots = ints("tree_roots")
    # A tree of one leaf has a root both of whose branches lead to it.
    return _checked(
        Ensemble(
            ints("nodes_featureids"),
            mode,
            attributes["nodes_splits"].reshape(-1),
            missing,
            *branches,
            roots,
            leaves,
            _members(mode, attributes["membership_values"]),
            stated,
        )
    )


def _members(mode: np.ndarray, values: np.ndarray | None) -> dict[int, np.ndarray]:
    """The values of each node of mode MEMBER; NaN ends those of one node."""
    nodes = np.flatnonzero(mode == Mode.MEMBER)
    if not nodes.size:
        return {}
    flat = np.zeros(0) if values is None else values.reshape(-1)
    groups = np.split(flat, np.flatnonzero(np.isnan(flat)) + 1)
    groups = [group[~np.isnan(group)] for group in groups]
    if len(groups) < len(nodes):
        raise AttributeValueError("membership_values", len(groups), f"{len(nodes)} groups")
    return dict(zip(nodes.tolist(), groups, strict=False))


def _checked(ensemble: Ensemble) -> Ensemble:
    """Refuse branches that lead nowhere and trees that go in circles."""
    nodes, leaves = len(ensemble.feature), len(ensemble.leaves)
    for name, to in (
        ("true branch", ensemble.true),
        ("false branch", ensemble.false),
        ("root", ensemble.roots),
    ):
        if to.size and not -leaves <= to.min() <= to.max() < max(nodes, 1):
            raise AttributeValueError(
                name, int(to.max()), f"a node below {nodes} or a leaf below {leaves}"
            )
    if ensemble.feature.size and ensemble.feature.min() < 0:
        raise AttributeValueError("nodes_featureids", int(ensemble.feature.min()), "0 or more")
    front, steps = ensemble.roots[ensemble.roots >= 0], 0
    reached = np.zeros(nodes, dtype=bool)
    while front.size and steps <= nodes:
        reached[front] = True
        front = np.unique(np.concatenate([ensemble.true[front], ensemble.false[front]]))
        front, steps = front[front >= 0], steps + 1
    if front.size or not reached.all():
        what = "a circle" if front.size else "nodes that no root leads to"
        raise AttributeValueError("branches", what, "trees")
    return ensemble
