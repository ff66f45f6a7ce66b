"""The quantized form that every movement operator derives from its float reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from cml_core.ops.plugin import NumpyOp
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.movement import move

if TYPE_CHECKING:
    from cml_core.quantization.context import LoweringContext

__all__ = ["MovementQuantizedOp"]


@attrs.frozen(slots=True)
class MovementQuantizedOp:
    """A movement operator on encrypted integers, made from its float reference.

    The float reference is run on element numbers; where each ends up says what moves where.

    Parameters
    ----------
    numpy_op : NumpyOp
        The float reference; must accept integers of any kind.
    moved : tuple of int or None
        Positions of the inputs whose elements move; the others (shapes, axes, indices …) steer
        and must be clear. None means that all inputs move.
    """

    numpy_op: NumpyOp
    moved: tuple[int, ...] | None = (0,)

    def __call__(self, ctx: LoweringContext, *tensors: Any, **attributes: Any) -> tuple[Any, ...]:
        moved = range(len(tensors)) if self.moved is None else self.moved
        places = [place for place in moved if place < len(tensors)]
        for place, tensor in enumerate(tensors):
            if isinstance(tensor, EncryptedTensor) and place not in places:
                ctx.refuse(f"its input number {place + 1} is encrypted and must be clear")

        def function(*numbers: Any) -> tuple[Any, ...]:
            arguments = list(tensors)
            for place, number in zip(places, numbers, strict=True):
                arguments[place] = number
            return tuple(self.numpy_op(*arguments, **attributes))

        return move(ctx, function, [tensors[place] for place in places])
