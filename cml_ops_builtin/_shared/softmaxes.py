"""Softmax and its kin along one axis."""

from __future__ import annotations

import numpy as np

__all__ = ["hardmax_along", "log_softmax_along", "softmax_along"]


def softmax_along(x, *, axis):
    power = np.exp(_below_zero(x, axis))
    return (power / power.sum(axis=axis, keepdims=True),)


def log_softmax_along(x, *, axis):
    shifted = _below_zero(x, axis)
    return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


def hardmax_along(x, *, axis):
    hot = np.zeros_like(x)
    if x.size:
        np.put_along_axis(hot, np.expand_dims(x.argmax(axis=axis), axis), 1, axis=axis)
    return (hot,)


def _below_zero(x, axis):
    """Shift x so that its largest element along the axis is zero: exp cannot overflow then."""
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)
