"""Reductions along axes, in the two ways in which ONNX states the axes.

Older revisions have them as an attribute, newer ones as an optional input. What is reduced how
is in `reductions.py`.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor, OpExample
from cml_ops_builtin._shared.flags import flag

__all__ = [
    "QuantizedWithAttribute",
    "QuantizedWithInput",
    "WithAttribute",
    "WithInput",
    "examples_with_attribute",
    "examples_with_input",
    "which_axes",
]


def which_axes(rank, axes, noop_with_empty_axes=0):
    """Return the axes to reduce, not negative and in order.

    No axes mean all of them, or none if `noop_with_empty_axes`.

    Raises
    ------
    AttributeValueError
        An axis is out of range.
    """
    axes = () if axes is None else tuple(int(axis) for axis in np.asarray(axes).reshape(-1))
    if not axes:
        noop = flag("noop_with_empty_axes", noop_with_empty_axes)
        return () if noop else tuple(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        raise AttributeValueError("axes", axes, f"axes of a tensor of rank {rank}")
    return tuple(sorted({axis % rank for axis in axes}))


@attrs.frozen(slots=True)
class WithAttribute:
    """Float reference with axes as an attribute, from `reduce(x, axes, keepdims) -> array`."""

    reduce: object

    def __call__(self, x, *, axes, keepdims):
        return (np.asarray(self.reduce(x, which_axes(x.ndim, axes), flag("keepdims", keepdims))),)


@attrs.frozen(slots=True)
class WithInput:
    """Float reference with axes as an input, from `reduce(x, axes, keepdims) -> array`."""

    reduce: object

    def __call__(self, x, axes=None, *, keepdims, noop_with_empty_axes):
        axes = which_axes(x.ndim, axes, noop_with_empty_axes)
        return (np.asarray(self.reduce(x, axes, flag("keepdims", keepdims))),)


@attrs.frozen(slots=True)
class QuantizedWithAttribute:
    """Quantized form with axes as an attribute, from `reduce(ctx, x, axes, keepdims)`."""

    reduce: object

    def __call__(self, ctx, x, *, axes, keepdims):
        return (self.reduce(ctx, x, which_axes(x.ndim, axes), flag("keepdims", keepdims)),)


@attrs.frozen(slots=True)
class QuantizedWithInput:
    """Quantized form with axes as an input, from `reduce(ctx, x, axes, keepdims)`."""

    reduce: object

    def __call__(self, ctx, x, axes=None, *, keepdims, noop_with_empty_axes):
        if isinstance(axes, EncryptedTensor):
            ctx.refuse("its axes are encrypted", "They must be a constant of the model.")
        axes = which_axes(x.ndim, axes, noop_with_empty_axes)
        return (self.reduce(ctx, x, axes, flag("keepdims", keepdims)),)


def examples_with_attribute(x):
    """Reduce one axis, several, and all."""
    return (
        OpExample((x,), {"axes": [1]}, name="one axis"),
        OpExample((x,), {"axes": [-1, 1], "keepdims": 0}, name="two axes, dropped"),
        OpExample((x,), name="all axes"),
    )


def examples_with_input(x, *, opset=None):
    """Reduce one axis, several, all, and none."""
    one, two, none = (np.array(axes, dtype=np.int64) for axes in ([1], [-1, 1], []))
    noop = {"noop_with_empty_axes": 1}
    return (
        OpExample((x, one), opset=opset, name="one axis"),
        OpExample((x, two), {"keepdims": 0}, opset=opset, name="two axes, dropped"),
        OpExample((x,), opset=opset, name="all axes"),
        OpExample((x, none), noop, opset=opset, name="no axes"),
    )
