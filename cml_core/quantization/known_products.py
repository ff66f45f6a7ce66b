"""What else is known of registers that are products with clear weights."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor

__all__ = ["Product"]


@attrs.frozen(slots=True, eq=False)
class Product:
    """What a register that is a product stands for, apart from constants: `step * register`.

    Parameters
    ----------
    integers : int array
        Its weights.
    source : Register
        The integers that it takes.
    step : array
        Value of one, of a shape that broadcasts to the register's.
    correction : array
        What the decode adds for errors of the integer weights, likewise.
    again : callable or None
        `again(ctx, matrix)` emits the product followed by a matrix (M, N) over its M channels,
        as a single one.
    axis : int
        The axis of its result that those channels lie on.
    emit : callable
        Emits it with other integer weights.
    apply : callable
        It with its real weights, on integers `(n, *S)`.
    of_bits : bool
        Whether it takes bits and is only decrypted.
    """

    integers: np.ndarray
    source: Register
    step: np.ndarray
    correction: np.ndarray
    again: Callable[[LoweringContext, np.ndarray], EncryptedTensor] | None
    axis: int
    emit: Callable[[np.ndarray], Register]
    apply: Callable[[np.ndarray], np.ndarray]
    of_bits: bool

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return self.integers.size
