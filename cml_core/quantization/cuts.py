"""Inputs of which a model only asks on which side of given cuts they lie.

The client compares; what it encrypts says for each element between which of its cuts it lies, as
one bit for each cut (a thermometer) or as one integer (the bin). Nothing is lost by it. Any
function of an element is a weighted sum of its bits, so with a thermometer no function of an
input costs a lookup.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from cml_core.program.rules import flattened

__all__ = ["CutCode", "Form"]

Form = Literal["thermometer", "bins"]


@attrs.frozen(slots=True, eq=False)
class CutCode:
    """How a model input becomes integers that say between which cuts each element lies.

    Parameters
    ----------
    name : str
        The model's input.
    shape : tuple of int
        Shape of one sample.
    cuts : float64 array of shape (T,)
        The cuts, element by element, each element's in ascending order.
    element : int array of shape (T,)
        Which element of a flattened sample each cut belongs to, in ascending order.
    form : {"thermometer", "bins"}
        One bit for each cut, `x > cut`; or one integer for each element that has cuts, how many of
        them it exceeds.
    suffix : str
        What tells several codes of one input apart.
    low_bits : int, optional
        Of bins, how many low bits are encrypted; by default all.
    """

    name: str
    shape: tuple[int, ...]
    cuts: np.ndarray
    element: np.ndarray
    form: Form
    suffix: str = ""
    low_bits: int | None = None

    @property
    def elements(self) -> np.ndarray:
        """Elements that have cuts, in ascending order; nothing is encrypted of the others."""
        elements: np.ndarray = np.unique(self.element)
        return elements

    @property
    def size(self) -> tuple[int, ...]:
        """Shape of what is encrypted for one sample."""
        return (len(self.cuts) if self.form == "thermometer" else len(self.elements),)

    @property
    def starts(self) -> np.ndarray:
        """Where the cuts of each element that has some begin."""
        starts: np.ndarray = np.searchsorted(self.element, self.elements)
        return starts

    @property
    def owner(self) -> np.ndarray:
        """`(T, elements)`: one where a cut belongs to an element, else zero."""
        owner: np.ndarray = np.zeros((len(self.cuts), len(self.elements)), dtype=np.int64)
        owner[np.arange(len(self.cuts)), np.searchsorted(self.elements, self.element)] = 1
        return owner

    def encode(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Integers for samples `(N, *S)`, held as floats; and how many had values that are none."""
        x = flattened(samples)[:, self.element]
        count = 0
        if x.dtype.kind == "f" and np.isnan(x).any():
            count = int(np.isnan(x).any(axis=1).sum())
        bits = (x > self.cuts).astype(np.float32)
        if self.form == "thermometer":
            return bits, count
        bins = np.add.reduceat(bits, self.starts, axis=1)
        return (bins if self.low_bits is None else bins % 2**self.low_bits), count
