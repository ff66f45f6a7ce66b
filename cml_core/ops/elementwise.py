"""The quantized form that every elementwise operator derives from its float reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cml_core.ops.plugin import NumpyOp
from cml_core.quantization.elementwise import elementwise

if TYPE_CHECKING:
    from cml_core.quantization.context import LoweringContext

__all__ = ["ElementwiseQuantizedOp"]


@attrs.frozen(slots=True)
class ElementwiseQuantizedOp:
    """An elementwise operator on encrypted integers, made from its float reference.

    As long as its encrypted operands come from one register, it composes onto their decode and
    emits nothing.

    Parameters
    ----------
    numpy_op : NumpyOp
        The float reference; must be elementwise and accept float64.
    combine : callable, optional
        `combine(ctx, *tensors) -> EncryptedTensor` for operands on different registers, such as
        `add` or `multiply`. By default the operands are packed into one lookup.
    """

    numpy_op: NumpyOp
    combine: Callable[..., Any] | None = None

    def __call__(self, ctx: LoweringContext, *tensors: Any, **attributes: Any) -> tuple[Any, ...]:
        def function(*arrays: Any) -> np.ndarray:
            return np.asarray(self.numpy_op(*arrays, **attributes)[0])

        return (elementwise(ctx, function, *tensors, combine=self.combine),)
