"""Results in digits: what sums of bits by wide weights say, in several sums by narrow ones.

The noise that lookups may leave is less the more bits a result has and the larger the weights
are that they meet on their way there. So a product of bits that is only decrypted, whose weights
are as fine as trees need them, is sent as several products with a few digits of the weights each.
The client puts them together to the very integer that the product would have been.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from cml_core.program.codings import binary_digits, signed_digits
from cml_core.program.cost import lookup_complexity, program_cost
from cml_core.program.instructions import Opcode
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.known_products import Product
from cml_core.quantization.origins import origin

__all__ = ["InDigits", "in_digits"]

#: What a result costs beside lookups, as complexity: it is added up, sent and decrypted.
_RESULT = 1e7
#: Most digits that are tried in one result.
_MOST_DIGITS = 6
#: Into how many sums terms are divided at most.
_MOST_GROUPS = 10
#: Bits that every compiler has for a result.
_WIDEST = 16
#: How many ways are priced exactly, those that promise most.
_TRIED = 3


@attrs.frozen(slots=True, eq=False)
class InDigits:
    """A tensor of shape S as integers `(D, *S)`, of which each row counts `worth` of the tensor."""

    register: Register
    worth: np.ndarray


def in_digits(
    builder: ProgramBuilder, register: Register, reads: int | None = None
) -> InDigits | None:
    """Divide a result that is a product of bits, moved or not, into digits.

    Parameters
    ----------
    builder : ProgramBuilder
        The program.
    register : Register
        The result.
    reads : int, optional
        Most bits that are read of a result, so that none would be lost.

    Returns
    -------
    InDigits or None
        The cheapest way; None if it is no such product or cheapest as it is.
    """
    found = origin(builder, register.position, builder.products)
    if found is None or register.size == 0:
        return None
    position, where = found
    known: Product = builder.products[position]
    if not known.of_bits or known.integers.ndim != 2:
        return None
    most = _WIDEST if reads is None else reads
    fits = register.interval.width <= most
    chosen, least = None, _price(builder, register) if fits else math.inf
    lookups = _lookups(builder, register)
    free = _promised(lookups, 0.0)
    options: list[tuple[float, int, InDigits]] = []
    promised = least
    for worth, weights in _divided(known.integers):
        results = _RESULT * len(worth) * register.size
        if free + results >= promised:
            continue
        tried = _emitted(builder, known, where, worth, weights)
        width = tried.register.interval.width
        if width > most:
            continue
        demand = width + 0.5 * math.log2(max(tried.register.noise, 1e-30))
        options.append((_promised(lookups, demand) + results, len(options), tried))
        promised = min(promised, options[-1][0])
    for _, _, tried in sorted(options)[:_TRIED]:
        price = _price(builder, tried.register)
        if price < least:
            chosen, least = tried, price
    return chosen


def _lookups(builder: ProgramBuilder, register: Register) -> Counter[int]:
    """How many lookups of each width come before a register."""
    costs = program_cost(builder.program([register])).values()
    return sum((cost.lookups for cost in costs), Counter())


def _promised(lookups: Mapping[int, int], demand: float) -> float:
    return sum(count * lookup_complexity(width, demand) for width, count in lookups.items())


def _price(builder: ProgramBuilder, register: Register) -> float:
    return builder.complexity([register]) + _RESULT * register.size


def _emitted(
    builder: ProgramBuilder,
    known: Product,
    where: np.ndarray,
    worth: np.ndarray,
    weights: np.ndarray,
) -> InDigits:
    """The product with weights `(K, D, M)` in place of those of `(K, M)`, as rows `(D, *S)`."""
    rows, columns = weights.shape[1:]
    with builder.proving():
        whole = known.emit(weights.reshape(len(weights), -1))
    flat = builder.emit(Opcode.RESHAPE, [whole], shape=(whole.size,))
    first = (where // columns * rows + np.arange(rows).reshape(-1, *(1,) * where.ndim)) * columns
    constants = {"index": first + where % columns}
    return InDigits(builder.emit(Opcode.GATHER, [flat], constants=constants), worth)


def _divided(integers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ways to write integers `(K, M)` as sums of D parts.

    Each part has some digits of some rows: of all, or of as many one after another as divide them
    evenly, as trees of a forest do.

    Yields
    ------
    worth : int array of shape (D,)
        What each part counts.
    weights : int array of shape (K, D, M)
        The parts.
    """
    rows = len(integers)
    codings = binary_digits(integers), signed_digits(integers)
    for groups in (g for g in range(1, _MOST_GROUPS + 1) if rows % g == 0):
        mine = np.eye(groups, dtype=np.int64).repeat(rows // groups, axis=0)
        for digits in codings:
            for count in range(1, min(_MOST_DIGITS, len(digits)) + 1):
                shifts = range(0, len(digits), count)
                parts = [
                    np.einsum("km,kg->kgm", digits[low + k] << k, mine)
                    for low in shifts
                    for k in range(count)
                    if low + k < len(digits)
                ]
                worth = np.repeat([1 << low for low in shifts], groups)
                weights = np.concatenate([sum(parts[low : low + count]) for low in shifts], axis=1)
                kept = weights.any(axis=(0, 2))
                if kept.sum() > 1:
                    yield worth[kept], weights[:, kept]
