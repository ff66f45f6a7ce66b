"""Comparisons of encrypted operands, through their difference on a common grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_core.plugin_api import (
    CalibrationHook,
    EncryptedTensor,
    LoweringContext,
    elementwise,
    subtract,
)
from cml_ops_builtin._shared.booleans import combine_booleans

__all__ = [
    "EQUALITY_RESTRICTIONS",
    "ORDER_RESTRICTIONS",
    "asks",
    "combine_compared",
    "combine_equal",
    "quantized_comparison",
]

EQUALITY_RESTRICTIONS = (
    "exact only where encrypted operands are on a common grid, as small integers are; otherwise "
    "values within half its step count as equal"
)

ORDER_RESTRICTIONS = (
    "two encrypted operands are compared on a common grid; those closer than its step may be "
    "taken for equal"
)


def quantized_comparison(
    relation: Callable[[Any, Any], Any], combine: Callable[..., EncryptedTensor] | None = None
) -> Callable[..., tuple[EncryptedTensor]]:
    """Make the quantized form of a comparison.

    On one register it is a decode, which compares floats as the model's float32: in float64, in
    which decodes are computed, values that the model takes for equal differ in the last digits.

    Parameters
    ----------
    relation : callable
        `relation(a, b) -> bool array`.
    combine : callable, optional
        Rule for operands on different registers, by default `combine_compared(relation)`.
    """
    rule = combine_compared(relation) if combine is None else combine

    def compare(a: Any, b: Any) -> Any:
        return relation(_single(a), _single(b))

    def quantized(ctx: LoweringContext, a: Any, b: Any) -> tuple[EncryptedTensor]:
        return (elementwise(ctx, compare, a, b, combine=rule),)

    return quantized


def asks(relation: Callable[[Any, Any], Any]) -> CalibrationHook:
    """Make the hook of a comparison: with a constant, it asks on which side of it a tensor is.

    Parameters
    ----------
    relation : callable
        `relation(a, b) -> bool array`.
    """

    def hook(recorder, inputs, outputs, attributes):
        constant = [recorder.is_constant(place) for place in (0, 1)]
        place = constant.index(False)
        x = inputs[place]
        if sum(constant) != 1 or x.dtype.kind not in "fi":
            return
        shape = outputs[0].shape
        element = np.broadcast_to(np.arange(x.size).reshape(x.shape), shape).reshape(-1)
        value = np.broadcast_to(inputs[1 - place], shape).reshape(-1)
        low, high = _neighbours(value)
        answers = [
            relation(near, value) if place == 0 else relation(value, near)
            for near in (low, value, high)
        ]
        # Where the answer changes from one number to the next, the lower one is a cut.
        changes = [answers[k] != answers[k + 1] for k in (0, 1)]
        cuts = np.concatenate([low[changes[0]], value[changes[1]]])
        owners = np.concatenate([element[changes[0]], element[changes[1]]])
        recorder.propose_cuts(place, cuts, owners)

    return hook


def _neighbours(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if value.dtype.kind != "f":
        return value - 1, value + 1
    ends = (value.dtype.type(end) for end in (-np.inf, np.inf))
    low, high = (np.nextafter(value, end) for end in ends)
    return low, high


def _single(value: Any) -> Any:
    return value.astype(np.float32) if value.dtype == np.float64 else value


def combine_compared(
    relation: Callable[[Any, Any], Any], *, slack: float = 2.0**-20
) -> Callable[..., EncryptedTensor]:
    """Make the rule that compares operands on different registers: `relation(a - b, 0)`.

    Parameters
    ----------
    relation : callable
        `relation(a, b) -> bool array`.
    slack : float
        How close to zero a difference counts as zero, in steps of the common grid. By default no
        more than the rounding error of its scale.
    """

    def combine(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
        difference = subtract(ctx, _signed(ctx, a), _signed(ctx, b))
        step = _step(difference)

        def compare(gap: np.ndarray, step: np.ndarray) -> Any:
            return relation(np.where(np.abs(gap) < slack * step, 0.0, gap), 0.0)

        return elementwise(ctx, compare, difference, step)

    return combine


def _step(difference: EncryptedTensor) -> np.ndarray:
    """Distance between neighbouring values of what `subtract` made of two registers: a grid."""
    at_one, at_zero = (difference.decode(np.int64(q), difference.channel) for q in (1, 0))
    return np.abs(at_one - at_zero)


def _signed(ctx: LoweringContext, tensor: EncryptedTensor) -> EncryptedTensor:
    """Let unsigned integers be floats, so that their difference does not wrap around."""
    if tensor.dtype.kind != "u":
        return tensor
    return elementwise(ctx, lambda value: np.asarray(value, dtype=np.float64), tensor)


_equal_booleans = combine_booleans(np.equal)
# Two grids may not share their points; what is nearest then counts as equal.
_equal_numbers = combine_compared(np.equal, slack=0.5)


def combine_equal(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Where operands on different registers are equal."""
    return (_equal_booleans if a.dtype == np.bool_ else _equal_numbers)(ctx, a, b)
