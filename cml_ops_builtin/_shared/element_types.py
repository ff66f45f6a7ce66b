"""ONNX's numbers for element types."""

from __future__ import annotations

import numpy as np
from onnx import helper

from cml_core.plugin_api import AttributeValueError

__all__ = ["bits_of_type", "element_type"]


def element_type(name: str, number: int) -> np.dtype:
    """Return the NumPy type that an attribute of this name asks for.

    Raises
    ------
    AttributeValueError
        ONNX has no element type of this number.
    """
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        expected = "the number of an ONNX element type"
        raise AttributeValueError(name, number, expected) from None


def bits_of_type(dtype: np.dtype) -> int:
    """Width of an element in ONNX; NumPy keeps those of less than a byte in a whole one."""
    for name, bits in (("int4", 4), ("uint4", 4), ("float4", 4), ("int2", 2), ("uint2", 2)):
        if dtype.name.startswith(name):
            return bits
    return 8 * dtype.itemsize
