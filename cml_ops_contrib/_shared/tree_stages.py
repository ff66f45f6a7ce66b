"""Plans of tree ensembles: lookups in stages, what results add up, and what all of it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from cml_core.plugin_api import lookup_complexity
from cml_ops_contrib._shared.tree_forks import Grove, Question
from cml_ops_contrib._shared.tree_results import Result, demand, width_of

__all__ = ["RESULT", "Plan", "Stage", "assembled", "needed"]

#: What a result costs beside its lookups, as complexity: it is added up, sent and decrypted.
RESULT = 1e7


@attrs.frozen(slots=True, eq=False)
class Stage:
    """Lookups that are done together: `table[start + sum_k factor_k * variable_k]`.

    Parameters
    ----------
    index, factor : int arrays of shape (M, K)
        Variables and their factors; unused places have factor 0.
    start : int array of shape (M,)
        What is added to the sum.
    table : int array of shape (M, 2**width)
        What each of them gives.
    """

    index: np.ndarray
    factor: np.ndarray
    start: np.ndarray
    table: np.ndarray


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
    start, top : int arrays of shape (R,)
        What is added to each result, which then is from zero to so much.
    join : float array of shape (R, targets)
        What each result counts in each target.
    base : float array of shape (targets,)
        What is added to all.
    complexity : float
        Of all lookups but those that comparisons need, as predicted.
    """

    cuts: np.ndarray
    feature: np.ndarray
    stages: tuple[Stage, ...]
    weights: np.ndarray
    start: np.ndarray
    top: np.ndarray
    join: np.ndarray
    base: np.ndarray
    complexity: float

    @property
    def lookups(self) -> int:
        """How many lookups there are, beside those that comparisons need."""
        return sum(len(stage.table) for stage in self.stages)

    @property
    def cost(self) -> float:
        """Complexity, and what the results cost."""
        return self.complexity + RESULT * len(self.top)


def needed(grove: Grove, variables: Iterable[int]) -> np.ndarray:
    """Which variables some variables need, themselves included: `(variables,)`."""
    found = np.zeros(grove.variables, dtype=bool)
    found[list(variables)] = True
    steps = grove.steps.count
    for k in range(len(grove.questions) - 1, -1, -1):
        if found[steps + k]:
            found[list(grove.questions[k].terms)] = True
    return found


def assembled(
    grove: Grove, results: Sequence[Result], spread: np.ndarray, base: np.ndarray
) -> Plan:
    """Put a plan together, without what no result needs.

    Parameters
    ----------
    grove : Grove
        The trees and what is looked up for them.
    results : sequence of Result
        Sums of variables.
    spread : array of shape (kept targets, targets)
        What an integer of each target that results are for is worth in all of them.
    base : array of shape (targets,)
        What is added, but for what results begin with.
    """
    results = [result for result in results if result.weights.any()]
    weights = np.zeros((grove.variables, len(results)), dtype=np.int64)
    join = np.zeros((len(results), len(base)))
    for k, result in enumerate(results):
        weights[:, k] = result.weights
        join[k] = spread[result.target] * 2.0**result.shift
    low, high = (
        np.array([getattr(r, end) for r in results], dtype=np.int64) for end in ("low", "high")
    )
    kept = needed(grove, np.flatnonzero(weights.any(axis=1)).tolist())
    steps = grove.steps.count
    number = np.cumsum(kept) - 1
    order = [*np.flatnonzero(kept[:steps]).tolist()]
    asked = {steps + k: q for k, q in enumerate(grove.questions) if kept[steps + k]}
    stages = []
    for stage, width in sorted({(q.stage, q.width) for q in asked.values()}):
        mine = [v for v, q in asked.items() if (q.stage, q.width) == (stage, width)]
        number[mine] = np.arange(len(order), len(order) + len(mine))
        order += mine
        stages.append(_stage([asked[v] for v in mine], number))
    cuts, feature = grove.steps.arrays()
    return Plan(
        cuts[kept[:steps]],
        feature[kept[:steps]],
        tuple(stages),
        weights[order],
        -low,
        high - low,
        join,
        base + low @ join,
        _complexity(asked, weights, high - low),
    )


def _stage(questions: Sequence[Question], number: np.ndarray) -> Stage:
    most = max(len(question.terms) for question in questions)
    index = np.zeros((len(questions), most), dtype=np.int64)
    factor = np.zeros_like(index)
    for row, question in enumerate(questions):
        index[row, : len(question.terms)] = number[list(question.terms)]
        factor[row, : len(question.terms)] = list(question.terms.values())
    return Stage(
        index,
        factor,
        np.array([question.constant for question in questions], dtype=np.int64),
        np.array([question.table for question in questions], dtype=np.int64),
    )


def _complexity(asked: dict[int, Question], weights: np.ndarray, span: np.ndarray) -> float:
    """Of lookups whose inputs, the steps, are fresh from the client.

    All that is added up together has one width, that of the widest, constants included. What
    leaves add, given by tables, is added up with nothing else.
    """
    width = np.zeros(len(weights), dtype=np.int64)
    for variable, question in asked.items():
        width[variable] = question.width
    inside = int(width.max(initial=1))
    outside = int(span.max(initial=1)).bit_length()
    if all(max(map(abs, question.table)) <= 1 for question in asked.values()):
        inside = outside = max(inside, outside, width_of(int(np.abs(weights).max(initial=0))))
    wanted: Counter[int] = Counter()
    for question in asked.values():
        terms = {v: weight for v, weight in question.terms.items() if width[v]}
        square = float(sum(weight**2 for weight in terms.values()))
        for variable in terms:
            source = int(width[variable])
            wanted[source] = max(wanted[source], demand(inside, square))
    found = weights * (width > 0)[:, np.newaxis]
    squares = (found.astype(np.float64) ** 2).sum(axis=0)
    for source in np.unique(width[width > 0]).tolist():
        mine = found[width == source].any(axis=0)
        most = float(squares[mine].max(initial=0.0))
        wanted[source] = max(wanted[source], demand(outside, most))
    counts = Counter(question.width for question in asked.values())
    return sum(count * lookup_complexity(bits, wanted[bits]) for bits, count in counts.items())
