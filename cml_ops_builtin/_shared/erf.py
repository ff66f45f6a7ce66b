"""The error function, for Erf and Gelu."""

from __future__ import annotations

import functools

import numpy as np

from cml_ops_builtin._shared.blocks import blockwise, numbers

__all__ = ["erf", "erf_into"]

#: Numerator and denominator of erf(x) / x in x^2, for |x| <= 0.46875; highest power first.
_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (
        1.0,
        2.36012909523441209e1,
        2.44024637934444173e2,
        1.28261652607737228e3,
        2.84423683343917062e3,
    ),
)
#: Numerator and denominator of exp(x^2) erfc(x) in x, beyond; highest power first.
_LARGE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
#: From here on erf is 1 in float64.
_ONE = 6.0


#: For float32: atanh(erf(x)) / x in x^2, lowest power first. It was fitted by Lawson's algorithm up
#: to x = 3.95, beyond which erf is 1, so that the largest relative error of erf is the least: 1e-7.
#: Further out it stays above 9 / x, so that its hyperbolic tangent is 1 as well.
_SINGLE = (
    1.1283792742536567,
    0.10276905623465823,
    -0.00019183173446186324,
    -0.0006197839086761859,
    8.763706303399079e-05,
    -5.668434999051499e-06,
    1.4185002828479676e-07,
)


def erf(x: np.ndarray) -> np.ndarray:
    """Compute the error function, accurate to a few units in the last place of x's dtype."""
    return blockwise(erf_into, x)


def erf_into(x: np.ndarray, out: np.ndarray, room: np.ndarray, scale: float = 1.0) -> None:
    """Write erf(scale * x) into an array, with room for another."""
    if x.dtype != np.float32:
        _erf_of_double(np.multiply(x, scale, out=room), out)
        return
    first, *coefficients, last = _coefficients(scale)
    np.multiply(x, x, room)
    np.multiply(room, first, out)
    for coefficient in coefficients:
        np.add(out, coefficient, out)
        np.multiply(out, room, out)
    np.add(out, last, out)
    np.multiply(out, x, out)
    np.tanh(out, out)


@functools.lru_cache(maxsize=8)
def _coefficients(scale: float) -> tuple[np.ndarray, ...]:
    """Those of `_SINGLE` for a multiple of x, highest power first."""
    scaled = [value * scale ** (2 * place + 1) for place, value in enumerate(_SINGLE)]
    return numbers(np.float32, *reversed(scaled))


def _erf_of_double(x: np.ndarray, out: np.ndarray) -> None:
    """Write the error function into an array.

    Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics
    of Computation 23 (1969), 631-637. His third interval, beyond 4, is left out: there erfc is
    below 2e-8, and the second approximation is good enough for 1 - erfc.
    """
    size = np.minimum(np.abs(x), _ONE)
    square = size * size
    small = size * _ratio(_SMALL, square)
    large = 1.0 - np.exp(-square) * _ratio(_LARGE, size)
    np.copysign(np.where(size <= 0.46875, small, large), x, out)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    """Quotient of two polynomials, by Horner's rule; Python floats keep x's precision."""
    values = []
    for polynomial in coefficients:
        value = x * polynomial[0]
        for coefficient in polynomial[1:-1]:
            value += coefficient
            value *= x
        value += polynomial[-1]
        values.append(value)
    values[0] /= values[1]
    return values[0]
