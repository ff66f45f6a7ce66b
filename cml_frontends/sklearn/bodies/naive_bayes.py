"""GaussianNB: for each class, a quadratic function of the features.

The logarithm of a class's likelihood is a sum over features of a parabola in each (scikit-learn
user guide, 1.9.1). With two classes their difference is what decides, which takes one lookup for
each feature; with more, squares of the features do, and the rest is a product with weights.

A feature that hardly varies within a class has a parabola so steep that integers which reach its
ends hold nothing else. Only differences of classes decide, so a feature that is the same in all of
them is left out; and a class that is far behind the best one is not told how far: such parabolas
are cut off, and have lookups of their own.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from cml_core.graph.writer import GraphWriter
from cml_frontends.sklearn.heads import Result

__all__ = ["gaussian_naive_bayes"]

#: How far, as a logarithm, a class may be behind the best one in a single feature: the least of
#: these at which samples, so many of them, stay in their classes.
_FAR, _SAMPLES = (100.0, 140.0, 200.0, 300.0, 500.0), 4096
#: Standard deviations from the mean of a class within which samples are expected.
_REACH = 4.0
#: Widest gap beside a value, as a share of what is expected, that is taken for rounding.
_GAP = 1 / 32
#: What float32 and float64 make of equal numbers, relatively.
_SAME = 1e-9


@attrs.frozen(eq=False)
class _Densities:
    """Normal densities of the features that tell classes apart.

    Parameters
    ----------
    feature : int array of shape (F,)
        Which features they are.
    mean, variance : arrays of shape (classes, F)
        Of each feature in each class.
    values : array of shape (n, F) or None
        What samples have there. Without any, nothing is cut off: no integers come of it.
    far : float
        Where densities are cut off.
    """

    feature: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    values: np.ndarray | None
    far: float = _FAR[0]

    @classmethod
    def of(cls, estimator: Any, samples: np.ndarray | None) -> _Densities:
        """The densities of a fitted estimator."""
        mean = np.asarray(estimator.theta_, dtype=np.float64)
        variance = np.asarray(estimator.var_, dtype=np.float64)
        apart = np.abs(mean - mean[0]) > _SAME * np.sqrt(variance)
        apart |= np.abs(variance - variance[0]) > _SAME * variance
        feature = np.flatnonzero(apart.any(axis=0))
        feature = feature if feature.size else np.arange(1)
        values = None if samples is None else samples[:, feature]
        found = cls(feature, mean[:, feature], variance[:, feature], values)
        if values is None:
            return found
        prior = np.log(estimator.class_prior_)
        far = (far for far in _FAR if attrs.evolve(found, far=far).keeps_classes(prior))
        return attrs.evolve(found, far=next(far, _FAR[-1]))

    def keeps_classes(self, prior: np.ndarray) -> bool:
        """Whether samples stay in their classes where densities are cut off."""
        x = self.values[:_SAMPLES, np.newaxis]
        height = self.top - 0.5 * np.square(x - self.mean) / self.variance
        behind = height - height.max(axis=1, keepdims=True)
        cut = np.where(self.steep(), np.maximum(behind, -self.far), behind)
        whole, kept = ((each.sum(axis=2) + prior).argmax(axis=1) for each in (behind, cut))
        return bool((whole == kept).all())

    @property
    def top(self) -> np.ndarray:
        """Logarithm of each density at its mean."""
        top: np.ndarray = -0.5 * np.log(2.0 * np.pi * self.variance)
        return top

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value that is expected of each feature."""
        reach = _REACH * np.sqrt(self.variance)
        return (self.mean - reach).min(axis=0), (self.mean + reach).max(axis=0)

    def steep(self) -> np.ndarray:
        """Where a class may be too far behind the best one: `(classes, F)`."""
        x = np.linspace(*self.ends, 65)[:, np.newaxis]
        height = self.top - 0.5 * np.square(x - self.mean) / self.variance
        behind: np.ndarray = (height.max(axis=1, keepdims=True) - height).max(axis=0)
        return behind > self.far

    def atoms(self, c: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The value of samples next to the mean of each class and feature, and half its gap.

        Where all values are close to one another, there is no gap.
        """
        atom = self.mean[c, f].astype(np.float32).astype(np.float64)
        gap = np.zeros(len(f))
        low, high = self.ends
        for j, column in enumerate(f):
            values = np.zeros(0) if self.values is None else np.unique(self.values[:, column])
            if values.size > 1:
                atom[j] = values[np.abs(values - atom[j]).argmin()]
                gap[j] = np.abs(values[values != atom[j]] - atom[j]).min() / 2
        return atom, np.minimum(gap, _GAP * (high - low)[f])


def gaussian_naive_bayes(
    writer: GraphWriter,
    x: str,
    estimator: Any,
    features: int,
    samples: np.ndarray | None = None,
) -> Result:
    """Nodes of a GaussianNB; they give its joint log likelihoods, or their difference.

    What all classes share may be missing from all of them. Samples say which values features have:
    what is next to one of them is taken for it, so that a steep parabola survives rounding.
    """
    density = _Densities.of(estimator, samples)
    prior = np.log(estimator.class_prior_)
    if len(prior) == 2:
        each, weights, start = _difference(writer, x, density)
        start = start + prior[1:] - prior[:1]
    else:
        each, weights, start = _likelihoods(writer, x, density)
        start = start + prior
    total = writer.add("MatMul", each, writer.constant(weights, np.float32))
    return Result(writer.add("Add", total, writer.constant(start, np.float32)), "scores")


def _difference(
    writer: GraphWriter, x: str, density: _Densities
) -> tuple[str, np.ndarray, np.ndarray]:
    """The second class before the first: one function of each feature."""
    every = np.arange(len(density.feature))
    narrow = density.variance.argmin(axis=0)
    steep = density.steep().any(axis=0)
    second, first = _heights(writer, x, density, narrow, every, [1, 0], steep)
    each = writer.add("Sub", second, first)
    if steep.any() and density.values is not None:
        most = np.where(steep, density.far, np.finfo(np.float32).max)
        each = writer.add("Min", each, writer.constant(most, np.float32))
        each = writer.add("Max", each, writer.constant(-most, np.float32))
    return each, np.ones((len(every), 1)), np.zeros(1)


def _likelihoods(
    writer: GraphWriter, x: str, density: _Densities
) -> tuple[str, np.ndarray, np.ndarray]:
    """Functions of single features, their weights in each class, and what is to be added."""
    steep = density.steep()
    flat = np.flatnonzero(~steep.all(axis=0))
    parts, weights = [], []
    start = np.where(steep, 0.0, density.top).sum(axis=1)
    if flat.size:
        # log p = a z^2 + b z + c, z = (x - center) / unit.
        center = density.mean[:, flat].mean(axis=0)
        unit = np.sqrt(density.variance[:, flat].max(axis=0))
        mean = (density.mean[:, flat] - center) / unit
        a = np.where(steep[:, flat], 0.0, -0.5 * unit**2 / density.variance[:, flat])
        z = writer.add("Gather", x, writer.constant(density.feature[flat]), axis=1)
        z = writer.add("Sub", z, writer.constant(center, np.float32))
        z = writer.add("Div", z, writer.constant(unit, np.float32))
        parts += [z, writer.add("Mul", z, z)]
        weights += [(-2.0 * a * mean).T, a.T]
        start += (a * mean**2).sum(axis=1)
    if steep.any():
        own, members = _cut_off(writer, x, density, steep)
        parts.append(own)
        weights.append(members)
    each = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)
    return each, np.concatenate(weights), start


def _cut_off(
    writer: GraphWriter, x: str, density: _Densities, steep: np.ndarray
) -> tuple[str, np.ndarray]:
    """Densities that end where they are too far behind the best, and in which classes they count.

    Classes that have the same density of a feature share it.
    """
    groups: dict[tuple[int, float, float], list[int]] = {}
    for c, f in np.argwhere(steep):
        groups.setdefault((f, density.mean[c, f], density.variance[c, f]), []).append(c)
    f = np.array([place for place, _, _ in groups])
    members = np.zeros((len(groups), len(steep)))
    for row, classes in zip(members, groups.values(), strict=True):
        row[classes] = 1.0
    c = members.argmax(axis=1)
    own, *all_classes = _heights(writer, x, density, c, f, [c, *range(len(steep))], f >= 0)
    best = writer.add("Max", *all_classes)
    cut = writer.add("Sub", own, best)
    if density.values is not None:
        cut = writer.add("Max", cut, writer.constant(-density.far, np.float32))
    # Beside parabolas that are kept whole, the best counts too; else all classes share it.
    beside = ~steep.all(axis=0)[f]
    if beside.any():
        cut = writer.add("Add", cut, writer.add("Mul", best, writer.constant(beside, np.float32)))
    return cut, members


def _heights(
    writer: GraphWriter,
    x: str,
    density: _Densities,
    c: np.ndarray,
    f: np.ndarray,
    classes: list[Any],
    rounded: np.ndarray,
) -> list[str]:
    """Logarithms of densities of features f in several classes.

    Values next to the mean of class c are, where that is wanted, those of samples.
    """
    atom, gap = density.atoms(c, f)
    gap = np.where(rounded, gap, 0.0)
    apart = writer.add("Gather", x, writer.constant(density.feature[f]), axis=1)
    apart = writer.add("Sub", apart, writer.constant(atom, np.float32))
    if gap.any():
        beyond = writer.add("Greater", writer.add("Abs", apart), writer.constant(gap, np.float32))
        apart = writer.add("Mul", apart, writer.cast(beyond, np.float32))
    heights = []
    for k in classes:
        mean, variance = density.mean[k, f], density.variance[k, f]
        place = writer.add("Sub", apart, writer.constant(mean - atom, np.float32))
        # Divided before it is squared, it stays within float32.
        place = writer.add("Div", place, writer.constant(np.sqrt(2.0 * variance), np.float32))
        square = writer.add("Mul", place, place)
        top = writer.constant(density.top[k, f], np.float32)
        heights.append(writer.add("Sub", top, square))
    return heights
