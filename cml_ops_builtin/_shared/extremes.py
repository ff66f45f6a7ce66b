"""Largest and smallest of many encrypted elements, as a tree of pairwise `maximum` or `minimum`.

The order of real values is the order of the integers behind them, as long as one non-decreasing
function decodes all that are compared. So integers are compared, and the decode is put back
afterwards; only tensors that are too wide, or decoded otherwise, are requantized first.
"""

from __future__ import annotations

import functools
import math

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor, elementwise, move, requantize

__all__ = ["Step", "extreme", "halving", "pairwise", "window_steps"]


@attrs.frozen(slots=True)
class Step:
    """One step of a reduction: some views of an array are compared, and others joined to them.

    Parameters
    ----------
    views : tuple of callable
        `view(array) -> array`, all of one shape; the result has the largest of each place.
    rest : callable or None
        A view that is appended to the result along the last axis.
    """

    views: tuple
    rest: object = None


def halving(shape, axes, *, keepdims=True):
    """Steps that reduce some axes to one element: half of them against the other half.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    axes : tuple of int
        What is reduced; not negative.
    keepdims : bool
        Keep reduced axes with size 1.
    """
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    outer = [shape[axis] for axis in kept]
    final = [1 if axis in axes else shape[axis] for axis in range(len(shape))]
    steps = [Step((lambda a: a.transpose(*kept, *axes).reshape(*outer, -1),))]
    left = math.prod(shape[axis] for axis in axes)
    while left > 1:
        half = left // 2
        steps.append(
            Step(
                (
                    lambda a, half=half: a[..., :half],
                    lambda a, half=half: a[..., half : 2 * half],
                ),
                (lambda a, half=half: a[..., 2 * half :]) if left % 2 else None,
            )
        )
        left -= half
    return [*steps, Step((lambda a: a.reshape(final if keepdims else outer),))]


def window_steps(windows):
    """Steps that reduce every window to one element, one spatial axis after another.

    Where a window holds padding, another of its own elements stands in: it changes no maximum.
    The axis along which most elements disappear comes first, as the others then cost less.
    """
    steps = []
    shrink = [count / size for count, size in zip(windows.output, windows.size, strict=True)]
    for axis in sorted(range(windows.rank), key=shrink.__getitem__):
        place = windows.positions(axis)
        inside = (place >= 0) & (place < windows.size[axis])
        if not inside.any(axis=1).all():
            ends = (*windows.before, *windows.after)
            raise AttributeValueError("pads", ends, "windows that hold more than padding")
        stand_in = np.take_along_axis(place, inside.argmax(axis=1)[:, np.newaxis], axis=1)
        columns = np.unique(np.where(inside, place, stand_in), axis=1).T
        views = [functools.partial(np.take, indices=column, axis=2 + axis) for column in columns]
        steps.append(Step(tuple(views)))
    return steps


def extreme(ctx, x, steps, pick):
    """Reduce an encrypted tensor in steps.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor
        What to reduce.
    steps : sequence of Step
        How.
    pick : callable
        `maximum` or `minimum` from the plugin API.
    """
    if all(len(step.views) == 1 for step in steps):
        return pairwise(ctx, x, steps, pick)
    levels = x.register.interval.high - x.register.interval.low + 1
    own = x.decode.grid
    most = max(2**ctx.bits.activation_bits, 0 if own is None else own.levels)
    channel = _fold(x.channel, steps, np.maximum)
    alike = np.array_equal(channel, _fold(x.channel, steps, np.minimum))
    if levels > most or not alike or not _is_rising(x):
        x = requantize(ctx, x)
        channel = _fold(x.channel, steps, np.maximum)
    integers = EncryptedTensor.on_grid(x.register, 1.0, 0.0, np.float64)
    best = pairwise(ctx, integers, steps, pick)

    def decode(value, channel):
        return x.decode(np.rint(value).astype(np.int64), channel)

    result = elementwise(ctx, decode, best, channel)
    return attrs.evolve(result, dtype=x.dtype)


def pairwise(ctx, x, steps, pick):
    """Reduce an encrypted tensor in steps by any function of two tensors, `pick(ctx, a, b)`."""

    def view(tensor, function):
        return move(ctx, function, [tensor])[0]

    def join(*tensors):
        return move(ctx, lambda *parts: np.concatenate(parts, axis=-1), tensors)[0]

    return _fold(x, steps, functools.partial(pick, ctx), view, join)


def _is_rising(x):
    """Whether the decode never falls, in every channel."""
    q = np.arange(x.register.interval.low, x.register.interval.high + 1)
    value = x.decode(q[np.newaxis], np.arange(x.decode.channels)[:, np.newaxis])
    return bool((value[:, 1:] >= value[:, :-1]).all())


def _view(array, function):
    return function(array)


def _join(*arrays):
    return np.concatenate(arrays, axis=-1)


def _fold(array, steps, pick, view=_view, join=_join):
    for step in steps:
        parts = [view(array, function) for function in step.views]
        while len(parts) > 1:
            pairs = [pick(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = [*pairs, *parts[2 * len(pairs) :]]
        array = parts[0] if step.rest is None else join(parts[0], view(array, step.rest))
    return array
