"""What Div and Mod share: the refusal of an integer divisor of zero, and the quotient."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["check_divisor", "quotient"]


def check_divisor(b: np.ndarray) -> None:
    """Refuse integer divisors of zero, for which ONNX has no result.

    Raises
    ------
    AttributeValueError
        A divisor is the integer zero.
    """
    if b.dtype.kind in "iu" and not np.all(b):
        raise AttributeValueError("B", 0, "integers other than zero, as it divides")


def quotient(a, b):
    """Divide whatever the divisor: tables also hold integers that no divisor ever is."""
    if np.result_type(a, b).kind in "iu":
        # Without its remainder of the same sign, `a` is a whole multiple of `b`.
        return (np.floor_divide(a - np.fmod(a, b), b),)
    return (np.true_divide(a, b),)
