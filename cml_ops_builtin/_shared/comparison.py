"""Comparisons of encrypted operands, through their difference on a common grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_core.plugin_api import EncryptedTensor, LoweringContext, elementwise, subtract

__all__ = ["ORDER_RESTRICTIONS", "combine_compared", "quantized_comparison"]

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
