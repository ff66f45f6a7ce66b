"""What two tensors that differ have in common: a factor, a sign, an order, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

__all__ = ["pattern_of"]

#: Relative error up to which numbers are as good as equal, for float32.
_SLACK = 1e-4
#: Relative error up to which they are meant to be equal, and computed less accurately.
_CLOSE = 1e-2


def pattern_of(got: Any, want: Any, *, slack: float = _SLACK, partial: bool = True) -> str:
    """Say how a tensor came to differ from another of its shape, as far as it shows.

    Parameters
    ----------
    got, want : array
        Both of one shape.
    slack : float
        Error up to which elements are equal, relative to the largest magnitude.
    partial : bool
        Say at least which elements differ, where there is no pattern; or else nothing.
    """
    got, want = np.asarray(got), np.asarray(want)
    numbers = got.dtype.kind in "iufb" and want.dtype.kind in "iufb" and got.shape == want.shape
    if numbers and want.size:
        pair = _Pair.of(got, want, slack)
        for find in (_not_finite, _constant, _signs, _factor, _offset, _order, _cut_off, _wrapped):
            found = find(pair)
            if found:
                return found
        if partial and (found := _inaccurate(pair)):
            return found
    return _first_difference(got, want, slack) if partial else ""


@attrs.frozen(eq=False)
class _Pair:
    got: np.ndarray
    want: np.ndarray
    finite: np.ndarray
    slack: float
    integers: bool

    @classmethod
    def of(cls, got: np.ndarray, want: np.ndarray, slack: float) -> _Pair:
        """Of two tensors of numbers, flattened, in float64."""
        came, asked = (array.astype(np.float64).reshape(-1) for array in (got, want))
        finite = np.isfinite(came) & np.isfinite(asked)
        largest = float(np.abs(asked[finite]).max(initial=0.0)) or 1.0
        integers = got.dtype.kind in "iu"
        exact = integers and slack == _SLACK
        return cls(came, asked, finite, 0.0 if exact else slack * largest, integers)

    def same(self, values: Any) -> bool:
        """Whether some values are those that came."""
        return bool((np.abs(self.got - values)[self.finite] <= self.slack).all())


def _not_finite(pair: _Pair) -> str:
    came, asked = np.isfinite(pair.got), np.isfinite(pair.want)
    if (~came & asked).any():
        return (
            "NaN or infinity comes where a number is expected: a division by zero, an overflow, or "
            "a logarithm or root of what is not positive"
        )
    if (came & ~asked).any():
        return "a number comes where NaN or infinity is expected, which must not be hidden"
    return "" if pair.finite.any() else "NaN and infinity are not at the same places"


def _constant(pair: _Pair) -> str:
    got, want = pair.got[pair.finite], pair.want[pair.finite]
    if got.size < 2 or np.ptp(want) <= pair.slack or np.ptp(got) > 0:
        return ""
    if not got.any():
        return "every element is 0: the result is never written, or lost in a cast to integers"
    return "every element is the same: it is reduced over too many axes, or depends on no input"


def _signs(pair: _Pair) -> str:
    if pair.same(-pair.want):
        return "the sign is the opposite: operands are swapped, or a minus is missing"
    return ""


def _factor(pair: _Pair) -> str:
    large = pair.finite & (np.abs(pair.want) > max(pair.slack, 0.0))
    if large.sum() < 2:
        return ""
    # The largest element says it most exactly.
    place = np.argmax(np.where(large, np.abs(pair.want), 0.0))
    factor = pair.got[place] / pair.want[place]
    if factor and pair.same(factor * pair.want) and not _within(factor, 1.0):
        return (
            f"every element is {factor:.4g} times what is expected: a factor such as a scale or "
            "an attribute is left out, or applied twice"
        )
    with np.errstate(all="ignore"):
        if large.all() and pair.same(1.0 / pair.want):
            return "it is the reciprocal: operands of a division are swapped"
    return ""


def _within(value: float, one: float) -> bool:
    return abs(value - one) <= _SLACK


def _offset(pair: _Pair) -> str:
    differences = (pair.got - pair.want)[pair.finite]
    if differences.size < 2:
        return ""
    offset = float(np.median(differences))
    if abs(offset) > pair.slack and pair.same(pair.want + offset):
        return (
            f"every element is off by {offset:.4g}: a constant such as a bias or zero point is "
            "left out, or added twice"
        )
    return ""


def _order(pair: _Pair) -> str:
    got, want = (np.sort(array[pair.finite]) for array in (pair.got, pair.want))
    if got.size > 1 and (np.abs(got - want) <= pair.slack).all() and not pair.same(pair.want):
        return "the same elements come in another order: look at axes, transpositions and reshapes"
    return ""


def _cut_off(pair: _Pair) -> str:
    differ = pair.finite & (np.abs(pair.got - pair.want) > pair.slack)
    for limit, beyond in ((pair.got[pair.finite].max(), 1), (pair.got[pair.finite].min(), -1)):
        at_limit = np.abs(pair.got - limit) <= pair.slack
        if (
            differ.any()
            and at_limit[differ].all()
            and ((pair.want - limit) * beyond)[differ].min() > 0
        ):
            return (
                f"elements are right up to {limit:.4g} and cut off there: a limit, or a range that "
                "calibration did not see"
            )
    return ""


def _wrapped(pair: _Pair) -> str:
    differences = (pair.got - pair.want)[pair.finite]
    if pair.integers and differences.any() and not (differences % 256).any():
        return "integers wrap around: compute in a wider type, such as int64"
    if pair.integers and np.abs(differences).max() == 1:
        return "integers are off by one: ONNX rounds halves to even where a cast cuts off"
    return ""


def _inaccurate(pair: _Pair) -> str:
    got, want = pair.got[pair.finite], pair.want[pair.finite]
    error = float(np.abs(got - want).max()) / (float(np.abs(want).max()) or 1.0)
    if not pair.integers and error <= _CLOSE and not pair.same(pair.want):
        return (
            f"it is right to {error:.1e} of the largest element, and not to float32's accuracy: "
            "an approximation, or a sum in float16"
        )
    return ""


def _first_difference(got: np.ndarray, want: np.ndarray, slack: float) -> str:
    with np.errstate(all="ignore"):
        compare: Callable[..., Any] = np.equal
        if got.dtype.kind in "fc" and want.dtype.kind in "fc":

            def compare(a: Any, b: Any) -> Any:
                return np.isclose(a, b, rtol=slack, atol=slack / 10, equal_nan=True)

        differ = ~np.asarray(compare(got, want), dtype=bool)
    if not differ.any():
        return "they differ by less than can be shown"
    first = tuple(int(place) for place in np.argwhere(differ)[0])
    where = f"at {list(first)} " if first else ""
    return (
        f"{int(differ.sum())} of {differ.size} elements differ, the first {where}is {got[first]} "
        f"in place of {want[first]}"
    )
