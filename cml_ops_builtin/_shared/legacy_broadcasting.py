"""Broadcasting as it was before opset 7: the second operand is laid along axes of the first.

Without `broadcast=1` both have the same shape. With it, the second one has the axes of the first
from `axis` on, by default the last ones, or it is a single element. The result has the first one's
shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, CalibrationHook, LoweringContext, OpExample
from cml_ops_builtin._shared.matrices import reshaped

__all__ = [
    "QuantizedWithLegacyBroadcasting",
    "WithLegacyBroadcasting",
    "aligned_shape",
    "asks_aligned",
    "legacy_examples",
]


def aligned_shape(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], *, axis: int | None, broadcast: int
) -> tuple[int, ...]:
    """Return the shape in which B broadcasts to A by NumPy's rule.

    Axes of size 1 are repeated, as the backend tests of ONNX have it.

    Raises
    ------
    AttributeValueError
        B's shape is not A's, or with `broadcast` no part of it.
    """
    if not broadcast:
        if a_shape != b_shape:
            raise AttributeValueError("B's shape", b_shape, f"{a_shape}, A's, without broadcast=1")
        return b_shape
    rank = len(b_shape)
    spare = len(a_shape) - rank
    if spare < 0:
        raise AttributeValueError("B's shape", b_shape, f"no more axes than A's shape {a_shape}")
    if math.prod(b_shape) == 1:
        return (1,) * len(a_shape)
    start = spare if axis is None else axis
    if not 0 <= start <= spare:
        expected = f"0 to {spare}, as B's shape {b_shape} is a part of A's shape {a_shape}"
        raise AttributeValueError("axis", axis, expected)
    part = a_shape[start : start + rank]
    if any(size not in (1, whole) for size, whole in zip(b_shape, part, strict=True)):
        expected = f"{part}, A's shape {a_shape} from axis {start} on"
        raise AttributeValueError("B's shape", b_shape, expected)
    return (*b_shape, *(1,) * (spare - start))


@attrs.frozen(slots=True)
class WithLegacyBroadcasting:
    """Float reference of an operator before opset 7, from `operator(a, b) -> (array,)`."""

    operator: Callable[[Any, Any], tuple[Any, ...]]

    def __call__(self, a, b, *, axis, broadcast):
        shape = aligned_shape(a.shape, b.shape, axis=axis, broadcast=broadcast)
        return self.operator(a, b.reshape(shape))


@attrs.frozen(slots=True)
class QuantizedWithLegacyBroadcasting:
    """Quantized form of an operator before opset 7, from `operator(ctx, a, b) -> (tensor,)`."""

    operator: Callable[[LoweringContext, Any, Any], tuple[Any, ...]]

    def __call__(self, ctx: LoweringContext, a, b, *, axis, broadcast):
        shape = aligned_shape(a.shape, b.shape, axis=axis, broadcast=broadcast)
        return self.operator(ctx, a, reshaped(ctx, b, shape))


def asks_aligned(hook: CalibrationHook) -> CalibrationHook:
    """Make the calibration hook of an operator before opset 7 from the newer one's."""

    def aligned(recorder, inputs, outputs, attributes):
        a, b = inputs
        hook(recorder, (a, b.reshape(aligned_shape(a.shape, b.shape, **attributes))), outputs, {})

    return aligned


def legacy_examples(
    function: Callable[[Any, Any], Any],
    a: np.ndarray,
    b: np.ndarray,
    *,
    both: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> tuple[OpExample, ...]:
    """Use an operator in all ways of broadcasting.

    Parameters
    ----------
    function : callable
        `function(a, b) -> array`, what it computes.
    a, b : array of shape (M, N) and (M,)
        Operands.
    both : mapping
        More of the examples whose operands are both encrypted, such as their bit width.
    **options
        More of all examples.
    """
    rows = b[:, np.newaxis]
    result = np.asarray(function(a, rows))
    part, encrypted = {"broadcast": 1, "axis": 0}, {"encrypted": (0, 1), **options, **both}
    whole = np.repeat(rows, a.shape[1], axis=1)
    return (
        OpExample((a, b), part, (result,), **options, name="first axis"),
        OpExample((a.T, b), {"broadcast": 1}, (result.T,), **options, name="last axis"),
        OpExample((a, b[:1]), {"broadcast": 1}, (function(a, b[0]),), **options, name="an element"),
        OpExample((a, b), part, (result,), **options, encrypted=(1,), name="encrypted part"),
        OpExample((a, b), part, (result,), **encrypted, name="both encrypted"),
        OpExample((a, whole), {}, (result,), **encrypted, name="both encrypted, of one shape"),
    )
