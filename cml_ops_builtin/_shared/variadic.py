"""Operators that take any number of operands: Max, Min, Sum and Mean."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cml_core.plugin_api import EncryptedTensor, LoweringContext, elementwise

__all__ = ["fold_encrypted"]


def fold_encrypted(
    function: Callable[[Any, Any], Any],
    pairwise: Callable[[LoweringContext, Any, Any], EncryptedTensor],
) -> Callable[..., EncryptedTensor]:
    """Make the rule for many operands from the one for two, of an associative function.

    Parameters
    ----------
    function : callable
        `function(a, b) -> array` on clear arrays.
    pairwise : callable
        The same on encrypted operands, such as `add` or `maximum`.

    Returns
    -------
    callable
        `combine(ctx, *tensors)` for `ElementwiseQuantizedOp`.
    """

    def combine(ctx: LoweringContext, *tensors: Any) -> EncryptedTensor:
        clear = [t for t in tensors if not isinstance(t, EncryptedTensor)]
        encrypted = [t for t in tensors if isinstance(t, EncryptedTensor)]
        # Side by side, operands of one register compose, and only the others need a lookup.
        encrypted.sort(key=lambda tensor: tensor.register.position)
        result = functools.reduce(functools.partial(pairwise, ctx), encrypted)
        if clear:
            result = elementwise(ctx, function, result, functools.reduce(function, clear))
        return result

    return combine
