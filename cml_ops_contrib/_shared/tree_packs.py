"""Packed subtrees: all that a subtree asks for as one integer, whose lookup gives the leaf.

The comparisons of k nodes put side by side are an integer of k bits, and less where they share a
feature: of a feature that is compared with two cuts, three bins are to be told apart, not four
combinations of bits. The node's own indicator is one bit more, with which the table gives zero
where the node is not reached; it is spared where the features of the subtree say as much.
"""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np

from cml_ops_contrib._shared.tree_entries import Terms
from cml_ops_contrib._shared.tree_forks import Node, added, upward
from cml_ops_contrib._shared.tree_steps import Steps

__all__ = ["MOST_STATES", "Pack", "pack_of"]

#: Most values of a packed integer: those of four bits, as wider lookups cost more than they save.
MOST_STATES = 16


@attrs.frozen(slots=True, eq=False)
class Pack:
    """A subtree as a lookup of one integer, `constant + sum of terms`.

    Parameters
    ----------
    terms, constant
        The integer.
    stage : int
        Lookups of lower stages come before it.
    leaf : int array of shape (states,)
        The leaf that each integer stands for; -1 where the subtree is not reached.
    """

    terms: Terms
    constant: int
    stage: int
    leaf: np.ndarray

    @property
    def width(self) -> int:
        """Bits of the integer."""
        return max(1, (len(self.leaf) - 1).bit_length())


@attrs.frozen(slots=True, eq=False)
class _Digit:
    """One digit of a packed integer: of which bins it is, or that the node is reached.

    `bins` holds a bin for each value of the digit, and None where the node is not reached.
    """

    feature: int | None
    bins: tuple[int | None, ...]
    terms: Terms
    constant: int


def pack_of(node: Node, steps: Steps) -> Pack | None:
    """Pack the subtree at a node; None if its integer has too many values."""
    nodes = list(upward(node))
    if len(nodes) >= MOST_STATES:
        return None
    asked: dict[int, list[np.ndarray]] = {}
    for each in nodes:
        asked.setdefault(each.feature, []).append(each.takes)
    bins = node.place.bins
    bounded = [feature for feature, inside in bins.items() if not inside.all()]
    others = [feature for feature in bounded if feature not in asked]
    gated = [_digit(steps, f, rows, bins.get(f), own=False) for f, rows in asked.items()]
    options = []
    if len(others) <= 1:
        # The features of the subtree tell whether the node is reached, but for one bit.
        digits = [_digit(steps, f, rows, bins.get(f), own=True) for f, rows in asked.items()]
        options.append((0, [*(_reached(steps, f, bins[f]) for f in others), *digits]))
    if bounded:
        gate = _Digit(None, (None, 0), node.place.terms, node.place.constant)
        options.append((node.place.stage, [gate, *gated]))
    stage, digits = min(options, key=lambda option: (_size(option[1]), option[0]))
    if _size(digits) > MOST_STATES:
        return None
    terms: Terms = {}
    constant, radix = 0, 1
    # What was looked up before comes first, where its noise is amplified least.
    for digit in digits:
        terms = added(terms, digit.terms, radix)
        constant += radix * digit.constant
        radix *= len(digit.bins)
    leaf = np.full(radix, -1)
    features = [digit.feature for digit in digits]
    for state, chosen in enumerate(itertools.product(*(digit.bins for digit in digits[::-1]))):
        if None not in chosen:
            leaf[state] = _leaf(node, dict(zip(features, chosen[::-1], strict=True)))
    return Pack(terms, constant, stage, leaf)


def _size(digits: list[_Digit]) -> int:
    return math.prod(len(digit.bins) for digit in digits)


def _reached(steps: Steps, feature: int, inside: np.ndarray) -> _Digit:
    """Whether a feature is in some bins."""
    return _Digit(None, (None, 0), *steps.expressed(feature, inside))


def _digit(
    steps: Steps, feature: int, rows: list[np.ndarray], inside: np.ndarray | None, *, own: bool
) -> _Digit:
    """Which answers a feature gives to all nodes of a subtree.

    Parameters
    ----------
    rows : list of bool arrays of shape (bins,)
        The answers.
    inside : bool array or None
        The bins in which the node is reached.
    own : bool
        Whether the digit tells the other bins from those, or need not know.
    """
    answers = np.stack(rows)
    known = np.ones(answers.shape[1], dtype=bool) if inside is None else inside
    values = np.zeros(len(known), dtype=np.int64)
    seen: dict[bytes, int] = {}
    bins: list[int | None] = []
    before = 0
    for place in range(len(known)):
        if known[place] or own:
            key = answers[:, place].tobytes() if known[place] else b""
            if key not in seen:
                seen[key] = len(bins)
                bins.append(place if known[place] else None)
            before = seen[key]
        values[place] = before
    return _Digit(feature, tuple(bins), *steps.expressed(feature, values))


def _leaf(node: Node | int, bins: dict[int | None, int | None]) -> int:
    while isinstance(node, Node):
        node = node.found if node.takes[bins[node.feature]] else node.left
    return node
