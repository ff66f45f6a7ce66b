"""Integers as digits, the lowest first: sums of `digit << place`."""

from __future__ import annotations

import numpy as np

__all__ = ["binary_digits", "signed_digits"]


def binary_digits(integers: np.ndarray) -> list[np.ndarray]:
    """Give binary digits, all of an integer's with its sign.

    Parameters
    ----------
    integers : int array

    Returns
    -------
    list of int array of the same shape
        As many as the largest integer has; none if all are zero.
    """
    size, sign = np.abs(integers), np.sign(integers)
    return [sign * (size >> k & 1) for k in range(int(size.max(initial=0)).bit_length())]


def signed_digits(integers: np.ndarray) -> list[np.ndarray]:
    """Give digits -1, 0 and 1 of which no two neighbours are set.

    No such form has fewer that are not zero (Reitwiesner 1960). What it takes and returns is as
    of `binary_digits`.
    """
    digits = []
    while integers.any():
        digit = np.where(integers % 2, 2 - integers % 4, 0)
        digits.append(digit)
        integers = (integers - digit) // 2
    return digits
