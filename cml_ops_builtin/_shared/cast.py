"""Conversion of arrays and encrypted tensors to another element type, for Cast and CastLike."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    elementwise,
)

__all__ = ["cast", "cast_encrypted", "refuse_strings"]

#: Largest number of the float8 types that `saturate` is about.
_LARGEST = {
    "float8_e4m3fn": 448.0,
    "float8_e4m3fnuz": 240.0,
    "float8_e5m2": 57344.0,
    "float8_e5m2fnuz": 57344.0,
}
#: How `round_mode` rounds a number in [1, 2) to 1 or 2: up is True.
_ROUNDS_UP = {
    "up": lambda mantissa: mantissa > 1.0,
    "down": lambda mantissa: np.zeros_like(mantissa, dtype=bool),
    "nearest": lambda mantissa: mantissa >= 1.5,
}


def cast(x: np.ndarray, dtype: np.dtype, *, saturate: int, round_mode: str) -> np.ndarray:
    """Convert an array as ONNX's Cast does.

    Floats become integers by dropping what follows the point; integers that do not fit lose their
    high bits; whatever is not zero is True. As strings, numbers have neither an exponent nor more
    digits than their type needs to tell them from all others; booleans are 1 and 0.

    Parameters
    ----------
    x : array
        Numbers, booleans, or strings that spell numbers.
    dtype : dtype
        Target.
    saturate : int
        Whether a number beyond the range of a float8 type becomes the nearest one within it.
    round_mode : str
        `"up"`, `"down"` or `"nearest"`, for float8_e8m0fnu alone.

    Raises
    ------
    AttributeValueError
        `round_mode` is unknown.
    """
    if dtype.kind in "OSU":
        return _spelled(x)
    if x.dtype == dtype and not (saturate and dtype.name in _LARGEST):
        return x
    if x.dtype.kind in "OSU":
        x = _integers(x, dtype) if dtype.kind in "iu" else x.astype(np.float64)
    if dtype.name in _LARGEST and saturate:
        largest = _LARGEST[dtype.name]
        x = np.clip(x.astype(np.float64), -largest, largest)
    if dtype.name == "float8_e8m0fnu":
        return _power_of_two(x, dtype, saturate, round_mode)
    if x.dtype.kind == "V" and dtype.kind == "V":
        # Not every pair of ml_dtypes' types converts directly.
        x = x.astype(np.float32)
    return x.astype(dtype)


def refuse_strings(dtype: np.dtype) -> None:
    """Raise AttributeValueError where a target type is that of strings."""
    if dtype.kind in "OSU":
        raise AttributeValueError("target type", "string", "a number or boolean type")


def _integers(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Read strings as integers; what follows a point is dropped, as ONNX allows."""
    try:
        return x.astype(dtype)
    except ValueError:
        numbers = x.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise
        return np.array([_integer(text) for text in x.flat], object).astype(dtype).reshape(x.shape)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))


def _spelled(x: np.ndarray) -> np.ndarray:
    """Spell the elements of an array, as objects: plain, "INF", "-INF" and "NaN"."""
    if x.dtype.kind in "OSU":
        return x.astype(object, copy=False)
    if x.dtype.kind in "iub" or "int" in x.dtype.name:
        texts = [str(int(value)) for value in x.flat]
    else:
        # The small floats are ml_dtypes' own, which NumPy does not spell.
        numbers = x.astype(np.float32) if x.dtype.kind == "V" else x
        texts = [_plain(value) for value in numbers.flat]
    return np.array(texts, dtype=object).reshape(x.shape)


def _plain(value: np.floating) -> str:
    if np.isfinite(value):
        return np.format_float_positional(value, trim="-")
    return "NaN" if np.isnan(value) else "INF" if value > 0 else "-INF"


def _power_of_two(x: np.ndarray, dtype: np.dtype, saturate: int, round_mode: str) -> np.ndarray:
    """Convert to E8M0: code c stands for 2^(c - 127), 255 for NaN; the sign is lost."""
    if round_mode not in _ROUNDS_UP:
        raise AttributeValueError("round_mode", round_mode, "'up', 'down' or 'nearest'")
    # frexp gives a mantissa in [0.5, 1).
    mantissa, exponent = np.frexp(np.abs(x.astype(np.float64)))
    code = exponent - 1 + _ROUNDS_UP[round_mode](2.0 * mantissa) + 127
    finite = np.isfinite(mantissa)
    code = np.where(mantissa == 0.0, -1, np.where(finite, code, 255))
    lost = np.isnan(mantissa) if saturate else (code < 0) | (code > 254)
    code = np.where(lost, 255, np.clip(code, 0, 254))
    return code.astype(np.uint8).view(dtype)


def cast_encrypted(
    ctx: LoweringContext,
    x: EncryptedTensor,
    dtype: np.dtype,
    *,
    saturate: int,
    round_mode: str,
) -> EncryptedTensor:
    """Convert an encrypted tensor; nothing is emitted.

    Between float types only the type's name changes: encrypted tensors stand for float64 values
    anyhow, and rounding these would take an affine decode off its grid, at a lookup each. The
    small float types do round, as that is what a model has them for. Strings are not encrypted.
    """
    refuse_strings(dtype)
    if dtype in (np.float16, np.float32, np.float64) or dtype.name == "bfloat16":
        return attrs.evolve(x, dtype=dtype)

    def function(values: np.ndarray) -> np.ndarray:
        # Back in the model's precision first, so that 2.9999999999999996 is 3 here as well.
        return cast(values.astype(x.dtype), dtype, saturate=saturate, round_mode=round_mode)

    return elementwise(ctx, function, x)
