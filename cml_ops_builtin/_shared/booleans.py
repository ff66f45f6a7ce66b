"""Booleans under encryption, which are worth one bit each before they meet other operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cml_core.plugin_api import EncryptedTensor, LoweringContext, elementwise, requantize

__all__ = ["combine_booleans", "narrow"]

#: Up to so many integers, packing a boolean as it is costs no more than a lookup to make it a bit.
_FEW = 4


def narrow(ctx: LoweringContext, tensor: Any) -> Any:
    """Bring an encrypted boolean down to one bit, by a lookup unless it is about that narrow.

    A comparison is a decode of the integers that were compared. Packed with another operand, all
    of their bits would enter the lookup, which costs far more than to look the boolean up first.
    """
    if not isinstance(tensor, EncryptedTensor):
        return tensor
    interval = tensor.register.interval
    return tensor if interval.high - interval.low < _FEW else requantize(ctx, tensor, bits=1)


def combine_booleans(function: Callable[..., Any]) -> Callable[..., EncryptedTensor]:
    """Make the rule for booleans on different registers: one bit each, packed."""

    def combine(ctx: LoweringContext, *tensors: Any) -> EncryptedTensor:
        return elementwise(ctx, function, *(narrow(ctx, tensor) for tensor in tensors))

    return combine
