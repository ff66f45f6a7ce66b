"""Windows that are sums of cosines: Hann, Hamming and Blackman."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError, check_size
from cml_ops_builtin._shared.element_types import element_type
from cml_ops_builtin._shared.positions import one_integer

__all__ = ["cosine_window"]


def cosine_window(
    size: np.ndarray, coefficients: Sequence[float], *, periodic: int, output_datatype: int
) -> np.ndarray:
    """Compute `sum(a[k] * cos(2 pi k n / N))`, with N the size, or one less if not periodic.

    Parameters
    ----------
    size : int array of one element
        How many values.
    coefficients : sequence of float
        The a[k].
    periodic : int
        Whether the value that would follow is the first one again, and not the last.
    output_datatype : int
        ONNX's number of the element type; integers are rounded toward zero.
    """
    dtype = element_type("output_datatype", output_datatype)
    if dtype.kind in "OSUbc":
        raise AttributeValueError("output_datatype", output_datatype, "that of a number type")
    count = one_integer("size", size, 0)
    check_size([count], np.float64)
    if count == 1 and not periodic:
        # 0 / 0 by the formula; the middle of a window, as longer ones of odd size have it.
        return np.ones(1, dtype=dtype)
    place = 2 * np.pi * np.arange(count) / max(count if periodic else count - 1, 1)
    window = np.zeros(count)
    # The smallest ones first: the middle then is 1 exactly, which integers would else round to 0.
    for order, coefficient in reversed(list(enumerate(coefficients))):
        window = window + coefficient * np.cos(order * place)
    return window.astype(dtype)
