"""Sequences of n tokens: a pool of known ones, and how often each occurs in rows of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["Pool"]


@attrs.frozen(slots=True, eq=False)
class _Grams:
    """Known n-grams of one length.

    Parameters
    ----------
    steps : tuple of arrays
        For each token after the first, the pairs (code of what precedes, token) that occur, in
        rising order; the place of a pair is the code of the longer sequence.
    numbers : array
        Which n-gram of the pool a code stands for, -1 for none.
    """

    steps: tuple[np.ndarray, ...]
    numbers: np.ndarray


@attrs.frozen(slots=True, eq=False)
class Pool:
    """Known n-grams; tokens are numbers or strings."""

    vocabulary: np.ndarray
    grams: tuple[_Grams, ...]
    size: int

    @classmethod
    def of(cls, tokens: np.ndarray, starts: Sequence[int]) -> Pool:
        """Read a pool: one-grams, then two-grams and so on, each beginning at one of `starts`.

        Raises
        ------
        AttributeValueError
            The pool cannot be so divided, or it holds an n-gram twice.
        """
        bounds = [*starts, len(tokens)]
        if bounds[0] != 0 or bounds != sorted(bounds):
            raise AttributeValueError("ngram_counts", starts, "rising places in the pool, from 0")
        vocabulary, ids = np.unique(tokens, return_inverse=True)
        grams, size = [], 0
        for length, (start, stop) in enumerate(itertools.pairwise(bounds), start=1):
            if (stop - start) % length:
                expected = f"room for whole {length}-grams between them"
                raise AttributeValueError("ngram_counts", starts, expected)
            rows = ids.reshape(-1)[start:stop].reshape(-1, length)
            grams.append(_known(rows, len(vocabulary), size))
            size += len(rows)
        return cls(vocabulary, tuple(grams), size)

    def counts(self, rows: np.ndarray, lengths: range, skips: int) -> np.ndarray:
        """How often each n-gram of the pool occurs in each row.

        Parameters
        ----------
        rows : array of shape (B, C)
            Tokens.
        lengths : range
            Which n to count.
        skips : int
            The most tokens left out between two of an n-gram.

        Returns
        -------
        integer array of shape (B, size of the pool)
        """
        ids = _places(self.vocabulary, rows)
        counts = np.zeros((len(rows), self.size), dtype=np.int64)
        for length in lengths:
            for distance in range(1, (skips if length > 1 else 0) + 2):
                stop = rows.shape[1] - (length - 1) * distance
                if stop <= 0:
                    break
                places = (ids[:, k * distance : k * distance + stop] for k in range(length))
                found = self._numbers(self.grams[length - 1], places)
                row, place = np.nonzero(found >= 0)
                np.add.at(counts, (row, found[row, place]), 1)
        return counts

    def _numbers(self, grams, places):
        """Which n-gram of the pool begins at each place, -1 where none does."""
        codes = next(places)
        for step, token in zip(grams.steps, places, strict=True):
            pair = codes * len(self.vocabulary) + token
            codes = np.where((codes >= 0) & (token >= 0), _places(step, pair), -1)
        return np.append(grams.numbers, -1)[codes]


def _known(rows, words, first):
    steps, codes, count = [], rows[:, 0], words
    for token in rows.T[1:]:
        pairs, codes = np.unique(codes * words + token, return_inverse=True)
        steps.append(pairs)
        count = len(pairs)
    numbers = np.full(count, -1)
    numbers[codes] = np.arange(first, first + len(rows))
    if np.count_nonzero(numbers >= 0) < len(rows):
        raise ValueError(f"the pool holds a {rows.shape[1]}-gram twice")
    return _Grams(tuple(steps), numbers)


def _places(known, values):
    """Where each value stands among known ones in rising order, -1 where it does not."""
    if not len(known):
        return np.full(values.shape, -1)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[places] == values, places, -1)
