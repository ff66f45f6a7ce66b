"""Machines that each tell two classes apart: their probabilities, and whom they vote for.

Decisions are float32 `(N, P)`, one for each pair (0, 1), (0, 2) … (1, 2) …, positive for the first
of the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter

__all__ = ["probabilities", "votes", "write_votes"]

#: How near to 0 and 1 the probability within a pair may come.
_LEAST = np.float32(1e-7)
_STEPS = 100
#: What may be missing at the optimum, to be divided by the number of classes.
_TOLERANCE = np.float32(0.005)


def votes(decisions: np.ndarray, classes: int) -> np.ndarray:
    """How many machines vote for each class, `(N, classes)`."""
    first = decisions > 0
    both = np.concatenate([first, ~first], axis=1)
    return sum(both[:, columns] for columns in _columns(classes)).astype(np.int64)


def write_votes(writer: GraphWriter, decisions: str, classes: int) -> str:
    """The same as nodes, that a client may compute: without a product."""
    first = writer.add("Greater", decisions, writer.constant(0.0, np.float32))
    marks = [writer.cast(mark, np.float32) for mark in (first, writer.add("Not", first))]
    both = writer.add("Concat", *marks, axis=1)
    parts = [
        writer.add("Gather", both, writer.constant(columns), axis=1)
        for columns in _columns(classes)
    ]
    return writer.add("Sum", *parts)


def _columns(classes: int) -> list[np.ndarray]:
    """Which of the votes for firsts and for seconds are for each class, one of them at a time."""
    pairs = np.stack(np.triu_indices(classes, 1))
    places = [np.flatnonzero(pairs.reshape(-1) == label) for label in range(classes)]
    return list(np.stack(places, axis=1))


def probabilities(decisions: np.ndarray, a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    """The probability of each class, float32 `(N, classes)`.

    A decision s becomes the probability 1 / (1 + exp(a s + b)) of the first class of its pair.
    These are coupled by the second method of Wu, Lin and Weng (Probability estimates for
    multi-class classification by pairwise coupling, JMLR 5, 2004, algorithm 2), with the steps
    and the tolerance of LIBSVM.

    Raises
    ------
    AttributeValueError
        There are not as many decisions, a and b as pairs of classes.
    """
    pairs = decisions.shape[1]
    classes = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    if classes * (classes - 1) // 2 != pairs:
        raise AttributeValueError("number of decisions", pairs, "one for each pair of classes")
    if not len(a) == len(b) == pairs:
        raise AttributeValueError("numbers of prob_a and prob_b", (len(a), len(b)), f"{pairs}")
    x = decisions * np.float32(a) + np.float32(b)
    upper = 1 / (1 + np.exp(-np.abs(x)))
    of_first = np.where(x < 0, upper, 1 - upper).clip(_LEAST, 1 - _LEAST)
    # against[n, i, j] is how likely class i is where it is i or j.
    against = np.zeros((len(decisions), classes, classes), dtype=np.float32)
    first, second = np.triu_indices(classes, 1)
    against[:, first, second] = of_first
    against[:, second, first] = 1 - of_first
    return _coupled(against)


def _coupled(against: np.ndarray) -> np.ndarray:
    """Minimize p Q p over probabilities p, class after class, for all samples at once."""
    classes = against.shape[1]
    quadratic = -against * against.swapaxes(1, 2)
    quadratic[:, np.arange(classes), np.arange(classes)] = np.square(against).sum(axis=1)
    p = np.full(against.shape[:2], 1 / classes, dtype=np.float32)
    active = np.arange(len(p))
    for _ in range(_STEPS):
        q, of_class = quadratic[active], p[active]
        gradient = np.einsum("nij,nj->ni", q, of_class)
        value = (of_class * gradient).sum(axis=1)
        missing = np.abs(gradient - value[:, np.newaxis]).max(axis=1, initial=0)
        left = missing >= _TOLERANCE / np.float32(classes)
        active, q, of_class = active[left], q[left], of_class[left]
        gradient, value = gradient[left], value[left]
        if not active.size:
            break
        for t in range(classes):
            step = (value - gradient[:, t]) / q[:, t, t]
            total = 1 + step
            value = (value + step * (step * q[:, t, t] + 2 * gradient[:, t])) / total / total
            gradient = (gradient + step[:, np.newaxis] * q[:, t]) / total[:, np.newaxis]
            of_class[:, t] += step
            of_class /= total[:, np.newaxis]
        p[active] = of_class
    return p
