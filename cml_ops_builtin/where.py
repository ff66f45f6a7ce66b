"""Where: elements of one tensor where a condition holds, of another where not, with broadcasting.

Under encryption a clear condition is free: it only moves elements. An encrypted one is made one
bit and packed with the data: one lookup for each encrypted operand.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    elementwise,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.booleans import narrow


def where(condition, x, y):
    return (np.where(condition, x, y),)


def quantized_where(ctx: LoweringContext, condition, x, y):
    return (elementwise(ctx, np.where, condition, x, y, combine=_where_registers),)


def _where_registers(ctx: LoweringContext, condition, x, y) -> EncryptedTensor:
    if not isinstance(condition, EncryptedTensor):
        (chosen,) = move(ctx, lambda a, b: np.where(condition, a, b), [x, y])
        return chosen
    data = [t for t in (x, y) if isinstance(t, EncryptedTensor)]
    if data[0].dtype == np.bool_:
        return elementwise(ctx, np.where, *(narrow(ctx, t) for t in (condition, x, y)))
    alike = len({t.register.position for t in data}) == 1
    if len(data) == 1 or (alike and _is_narrow(ctx, data[0])):
        return elementwise(ctx, np.where, narrow(ctx, condition), x, y)
    # Each part is zero where the other is not, so their sum has either's value, and each lookup
    # takes the condition and one operand only.
    bit = narrow(ctx, condition)

    def part(choose, value: EncryptedTensor) -> EncryptedTensor:
        own = value.register.position == condition.register.position
        return elementwise(ctx, choose, condition if own else bit, value)

    kept = part(lambda c, v: np.where(c, v, np.zeros_like(v)), x)
    other = part(lambda c, v: np.where(c, np.zeros_like(v), v), y)
    return add(ctx, kept, other)


def _is_narrow(ctx: LoweringContext, tensor: EncryptedTensor) -> bool:
    """Whether a register is packed as it is, once for all that is on it."""
    return tensor.register.interval.width <= ctx.bits.activation_bits


@hookimpl
def cml_op():
    condition = np.array([[True, False, True]])
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.5, -1.0, 0.0]], dtype=np.float32)
    integers = np.array([[3, 0, 7]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Where", since_versions=(9, 16), kind=OpKind.ELEMENTWISE),
        numpy_op=where,
        quantized_op=quantized_where,
        examples=(
            OpExample(
                (condition[0], x, y[0, :1]), encrypted=(1,), lookups=0, name="clear condition"
            ),
            OpExample((condition, x, y), encrypted=(1, 2), name="encrypted data"),
            OpExample((condition, x[0], y[0]), encrypted=(0,), name="encrypted condition"),
            OpExample((condition, x, y[0]), encrypted=(0, 1), name="clear alternative"),
            OpExample(
                (condition, x, y), encrypted=(0, 1, 2), lookups=6, max_bits=5, name="all encrypted"
            ),
            OpExample(
                (condition, integers, -integers),
                encrypted=(0, 1, 2),
                tolerance=0.0,
                name="encrypted integers",
            ),
            OpExample(
                (condition, ~condition, condition[:, [1, 2, 0]]),
                encrypted=(0, 1, 2),
                tolerance=0.0,
                name="encrypted booleans",
            ),
        ),
    )
