"""Products of integers with integers: exact, in the clear and on encrypted tensors.

The integers of the weights are used as they are, at any bit width.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    Opcode,
    affine,
    conv_nd,
    elementwise,
    reshape,
    transpose,
)
from cml_ops_builtin._shared.quantized_tensors import on_integers, to_integers
from cml_ops_builtin._shared.windows import kernel_of, place_windows

__all__ = ["conv_integers", "matmul_integers", "shifted", "spread_columns", "spread_rows"]


def shifted(ctx, x, zero_point):
    """Subtract a zero point that broadcasts with a tensor, clear or encrypted.

    Integers come back as int64; of the small float types, which are clear, float32.
    """
    zero = np.zeros((), np.int64) if zero_point is None else to_integers(zero_point)
    if not isinstance(x, EncryptedTensor):
        return to_integers(x) - zero
    x = on_integers(ctx, attrs.evolve(x, dtype=np.dtype(np.int64)))
    return x if not zero.any() else elementwise(ctx, np.subtract, x, zero)


def spread_rows(parameter, x):
    """Bring a number for each row of a matrix, shape (M,) or (..., M, 1), to its place."""
    if parameter is None or parameter.size == 1:
        return None if parameter is None else parameter.reshape(())
    if parameter.ndim == 1 and x.ndim > 1:
        parameter = parameter[:, np.newaxis]
    return _fitting(parameter, (*x.shape[:-1], 1), "row")


def spread_columns(parameter, x):
    """Bring a number for each column of a matrix, shape (N,) or (..., 1, N), to its place."""
    if parameter is None or parameter.size == 1:
        return None if parameter is None else parameter.reshape(())
    shape = (*x.shape[:-2], 1, x.shape[-1]) if x.ndim > 1 else (1,)
    return _fitting(parameter, shape, "column")


def _fitting(parameter, shape, what):
    try:
        fits = np.broadcast_shapes(parameter.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        expected = f"one number, or one for each {what}: {tuple(shape)}"
        raise AttributeValueError("scale or zero point", parameter.shape, expected)
    return parameter


def matmul_integers(ctx: LoweringContext | None, a, b):
    """Multiply two matrices of int64, or stacks of them, one of which may be encrypted."""
    if not isinstance(a, EncryptedTensor) and not isinstance(b, EncryptedTensor):
        return _product(a, b)
    # A vector is a row on the left and a column on the right; its axis of size 1 is dropped.
    left = _reshaped(ctx, a, (1, *a.shape) if a.ndim == 1 else a.shape)
    right = _reshaped(ctx, b, (*b.shape, 1) if b.ndim == 1 else b.shape)
    if isinstance(a, EncryptedTensor):
        y = _with_clear(ctx, left, right)
    else:
        # (A B)^T = B^T A^T brings the encrypted factor to the left.
        y = _turned(ctx, _with_clear(ctx, _turned(ctx, right), left.swapaxes(-1, -2)))
    rows = () if a.ndim == 1 else y.shape[-2:-1]
    columns = () if b.ndim == 1 else y.shape[-1:]
    return _reshaped(ctx, y, (*y.shape[:-2], *rows, *columns))


def _product(a, b):
    """Multiply in float64, where products and sums of integers below 2^53 are exact."""
    product = np.matmul(a.astype(np.float64), b.astype(np.float64))
    return product.astype(np.int64) if a.dtype.kind == b.dtype.kind == "i" else product


def _with_clear(ctx, x, weight):
    x = _reshaped(ctx, x, (*(1,) * (weight.ndim - x.ndim), *x.shape))
    view = affine(ctx, x, varying=())
    register = ctx.builder.emit(Opcode.MATMUL, [view.register], constants={"weight": weight})
    offset = np.matmul(view.offset, weight)
    return EncryptedTensor.on_grid(register, _step(view), offset, np.int64)


def _step(view):
    """The one step that all elements of a tensor have."""
    return float(view.scale.flat[0]) if view.scale.size else 1.0


def _reshaped(ctx, x, shape):
    if tuple(x.shape) == tuple(shape):
        return x
    return reshape(ctx, x, shape) if isinstance(x, EncryptedTensor) else x.reshape(shape)


def _turned(ctx, x):
    return transpose(ctx, x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def conv_integers(ctx: LoweringContext | None, x, w, *, kernel_shape, group, **attributes):
    """Convolve int64 images, clear or encrypted, with int64 filters.

    Zeros are padded after the zero point was subtracted, so padding stands for the real zero.

    Raises
    ------
    AttributeValueError
        Shapes or attributes do not fit each other.
    """
    kernel = kernel_of(x.shape, w.shape, kernel_shape)
    if group < 1 or x.shape[1] != w.shape[1] * group or w.shape[0] % group:
        expected = f"a divisor of {w.shape[0]} that makes {x.shape[1]} of {w.shape[1]}"
        raise AttributeValueError("group", group, expected)
    windows = place_windows(x.shape[2:], kernel, **attributes)
    settings = {"strides": windows.strides, "dilations": windows.dilations, "group": group}

    def apply(images):
        weight = w.astype(np.float64)
        return conv_nd(images.astype(np.float64), weight, pads=windows.pads, **settings)

    if not isinstance(x, EncryptedTensor):
        return apply(x).astype(np.int64)
    view = affine(ctx, x, varying=())
    register = view.register
    if any(windows.pads):
        before, after = windows.pads[: windows.rank], windows.pads[windows.rank :]
        ends = {"before": (0, 0, *before), "after": (0, 0, *after)}
        register = ctx.builder.emit(Opcode.PAD, [register], ends)
    register = ctx.builder.emit(Opcode.CONV, [register], settings, {"weight": w})
    return EncryptedTensor.on_grid(register, _step(view), apply(view.offset), np.int64)
