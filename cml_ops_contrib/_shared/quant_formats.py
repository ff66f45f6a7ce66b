"""Integer formats of QONNX: bit widths, signs, roundings, and grids that are the model's own."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor

__all__ = [
    "KEPT_LEVELS",
    "NEAREST",
    "Integers",
    "bits_of",
    "float_type",
    "kept",
    "refuse_encrypted",
    "rounding_of",
]

#: The widest integers that there are, and most values of a grid that is kept.
_MOST_BITS, KEPT_LEVELS = 32, 2**16


def _away_from_zero(x):
    return np.copysign(np.ceil(np.abs(x)), x)


def _half_away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _half_toward(x):
    return np.copysign(np.ceil(np.abs(x) - 0.5), x)


def _half_up_if_negative(x):
    """What Brevitas calls DPU: halves below zero go up, the others to the even neighbour."""
    return np.where((x < 0) & (x - np.floor(x) == 0.5), np.ceil(x), np.rint(x))


_ROUNDINGS = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "HALF_UP": _half_away,
    "HALF_DOWN": _half_toward,
    "DPU": _half_up_if_negative,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": _away_from_zero,
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
}
#: Those that differ from encoding on the client in halves alone.
NEAREST = ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN", "DPU")


def rounding_of(mode):
    """The function that a rounding mode is the name of."""
    try:
        return _ROUNDINGS[mode.upper()]
    except KeyError:
        expected = f"one of {', '.join(_ROUNDINGS)}"
        raise AttributeValueError("rounding_mode", mode, expected) from None


def bits_of(name, value):
    """Bit widths as float64, checked."""
    bits = np.asarray(value).astype(np.float64)
    if bits.size == 0 or (bits != np.rint(bits)).any() or bits.min() < 1 or bits.max() > _MOST_BITS:
        expected = f"whole numbers of bits from 1 to {_MOST_BITS}"
        raise AttributeValueError(name, np.asarray(value).tolist(), expected)
    return bits


@attrs.frozen(slots=True, eq=False)
class Integers:
    """The integers of a format: from `low` to `high` in steps of `step`."""

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, bits, *, signed, narrow):
        """Those of a bit width; a signed bit stands for -1 and 1."""
        if not signed:
            low, high = np.zeros_like(bits), 2.0**bits - 1 - bool(narrow)
        else:
            low, high = -(2.0 ** (bits - 1)) + bool(narrow), 2.0 ** (bits - 1) - 1
        bipolar = (bits == 1) & bool(signed)
        return cls(
            np.where(bipolar, -1.0, low), np.where(bipolar, 1.0, high), np.where(bipolar, 2.0, 1.0)
        )

    @property
    def levels(self):
        """How many there are, where there are most."""
        return int(np.max((self.high - self.low) / self.step)) + 1


def float_type(x):
    """The type that a node computes in: the input's own."""
    return x.dtype if x.dtype.kind in "fV" else np.dtype(np.float32)


def refuse_encrypted(ctx, **parameters):
    """Refuse parameters that are not clear."""
    for name, tensor in parameters.items():
        if isinstance(tensor, EncryptedTensor):
            ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")


def kept(y, x, scale, offset, levels):
    """Say of an encrypted result that the model put it on a grid."""
    y = attrs.evolve(y, dtype=float_type(x))
    return y.kept_on(scale, offset, levels) if levels <= KEPT_LEVELS else y
