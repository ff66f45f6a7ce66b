"""Comparisons of a tree ensemble as steps: bits `x > cut`, equal ones made once."""

from __future__ import annotations

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_entries import Terms
from cml_ops_contrib._shared.trees import Ensemble, Mode

__all__ = ["Steps"]


@attrs.frozen(slots=True, eq=False)
class Steps:
    """All cuts by feature, and what nodes ask in terms of the bins between them."""

    first: dict[int, int]
    cuts: dict[int, np.ndarray]

    @classmethod
    def of(cls, ensemble: Ensemble) -> Steps:
        """The steps that an ensemble's nodes ask for."""
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

    def expressed(self, feature: int, values: np.ndarray) -> tuple[Terms, int]:
        """An integer for each bin of a feature: weights of its steps, and a constant."""
        change = np.diff(values.astype(np.int64))
        start = self.first[feature]
        return {start + k: int(change[k]) for k in np.flatnonzero(change).tolist()}, int(values[0])

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The cut and the feature of each step."""
        feature = [f for f in sorted(self.cuts) for _ in self.cuts[f]]
        cuts = [c for f in sorted(self.cuts) for c in self.cuts[f]]
        return np.array(cuts, dtype=np.float64), np.array(feature, dtype=np.int64)
