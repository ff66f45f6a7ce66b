"""What Div and Mod share: the refusal of an integer divisor of zero."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["check_divisor"]


def check_divisor(b: np.ndarray) -> None:
    """Refuse integer divisors of zero, for which ONNX has no result.

    Raises
    ------
    AttributeValueError
        A divisor is the integer zero.
    """
    if b.dtype.kind in "iu" and not np.all(b):
        raise AttributeValueError("B", 0, "integers other than zero, as it divides")
