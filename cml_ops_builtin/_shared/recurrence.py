"""Recurrent layers in float: their weights by direction and gate, and the loop over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.recurrent_activations import Activation, recurrent_activations

__all__ = [
    "Layer",
    "active",
    "as_given",
    "batch_first",
    "check_shapes",
    "in_order",
    "layers",
    "recur",
    "reversal",
    "trajectories",
]


@attrs.frozen(slots=True, eq=False)
class Layer:
    """One direction of a recurrent layer with G gates.

    Parameters
    ----------
    w : array of shape (I, G * H)
        Weights of the input, transposed.
    r : array of shape (H, G * H)
        Weights of the hidden state, transposed.
    wb, rb : array of shape (G * H,)
        Biases of the input's and of the hidden state's product.
    p : array of shape (3, H) or None
        Peepholes of an LSTM.
    functions : tuple of callable
        Activations f, g, h, with the clip before them.
    reverse : bool
        Whether it begins with the last element of a sequence.
    """

    w: np.ndarray
    r: np.ndarray
    wb: np.ndarray
    rb: np.ndarray
    p: np.ndarray | None
    functions: tuple[Activation, ...]
    reverse: bool

    @property
    def hidden(self) -> int:
        """Number of hidden units H."""
        return self.r.shape[0]

    def gate(self, array: np.ndarray, *places: int) -> np.ndarray:
        """Return the columns of some gates, of an array that has all of them in its last axis."""
        size = self.hidden
        parts = [array[..., place * size : (place + 1) * size] for place in places]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


Cell = Callable[..., tuple[np.ndarray, ...]]


def layers(
    w,
    r,
    b,
    p=None,
    *,
    gates: int,
    default: Sequence[str],
    direction: str,
    hidden_size: int | None,
    activations: Sequence[str] | None,
    activation_alpha: Sequence[float] | None,
    activation_beta: Sequence[float] | None,
    clip: float | None,
) -> tuple[Layer, ...]:
    """Divide the weights of a recurrent operator by direction.

    Raises
    ------
    AttributeValueError
        Attributes or shapes do not fit each other.
    """
    reverses = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    if direction not in reverses:
        raise AttributeValueError("direction", direction, f"one of {', '.join(reverses)}")
    count, size = len(reverses[direction]), r.shape[-1] if r.ndim else 0
    if hidden_size is not None and hidden_size != size:
        raise AttributeValueError("hidden_size", hidden_size, f"{size}, the last axis of R")
    wide = gates * size
    b = np.zeros((count, 2 * wide), dtype=w.dtype) if b is None else b
    inputs = w.shape[-1] if w.ndim else 0
    _check("W", w, (count, wide, inputs))
    _check("R", r, (count, wide, size))
    _check("B", b, (count, 2 * wide))
    if p is not None:
        _check("P", p, (count, 3 * size))
    functions = recurrent_activations(
        tuple(default) * count if activations is None else activations,
        len(default) * count,
        alpha=activation_alpha,
        beta=activation_beta,
        clip=clip,
    )
    w, r, b, p = (None if a is None else widened(a) for a in (w, r, b, p))
    return tuple(
        Layer(
            w[d].T,
            r[d].T,
            b[d, :wide],
            b[d, wide:],
            None if p is None else p[d].reshape(3, size),
            functions[d * len(default) : (d + 1) * len(default)],
            reverse,
        )
        for d, reverse in enumerate(reverses[direction])
    )


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise AttributeValueError(f"shape of {name}", array.shape, str(shape))


def batch_first(layout: int) -> bool:
    """Whether the batch is the first axis of all tensors, in place of the last but one."""
    if layout not in (0, 1):
        raise AttributeValueError("layout", layout, "0 or 1")
    return layout == 1


def active(sequence_lens, time: int, batch: int) -> np.ndarray:
    """Which step (rows) is within the sequence of which element of the batch (columns)."""
    if sequence_lens is None:
        return np.ones((time, batch), dtype=bool)
    lens = np.asarray(sequence_lens)
    _check("sequence_lens", lens, (batch,))
    outside = (lens < 0) | (lens > time)
    if outside.any():
        raise AttributeValueError("sequence_lens", int(lens[outside][0]), f"0 to {time}")
    return np.arange(time)[:, np.newaxis] < lens


def reversal(within: np.ndarray) -> np.ndarray:
    """The step that takes each step's place when sequences are reversed, their padding not."""
    place, lens = np.arange(len(within))[:, np.newaxis], within.sum(axis=0)
    return np.where(within, lens - 1 - place, place)


def trajectories(
    x, states: Sequence[np.ndarray], within: np.ndarray, layer: Layer, cell: Cell
) -> list[np.ndarray]:
    """Run one direction; return the course of each state.

    Parameters
    ----------
    x : array of shape (T, B, I)
        Input sequences.
    states : sequence of array of shape (B, H)
        Where the states begin.
    within : bool array of shape (T, B)
        Which steps are part of a sequence; the others leave the states alone.
    layer : Layer
        The direction's weights.
    cell : callable
        `cell(layer, product, *states) -> states`, with the product of the input and all gates'
        weights, `(B, G * H)`, the input's bias included.

    Returns
    -------
    list of array of shape (T + 1, B, H)
        For each state, first its beginning, in the order of computation.
    """
    if layer.reverse:
        x = np.take_along_axis(x, reversal(within)[:, :, np.newaxis], axis=0)
    products = np.matmul(x, layer.w) + layer.wb
    course = [tuple(states)]
    for product, running in zip(products, within, strict=True):
        new = cell(layer, product, *course[-1])
        if not running.all():
            keep = running[:, np.newaxis]
            new = tuple(np.where(keep, n, o) for n, o in zip(new, course[-1], strict=True))
        course.append(new)
    return [np.stack(state) for state in zip(*course, strict=True)]


def recur(
    x,
    sequence_lens,
    initial: Sequence[np.ndarray | None],
    parts: Sequence[Layer],
    cell: Cell,
    *,
    layout: int,
) -> tuple[np.ndarray, ...]:
    """Run a recurrent layer in all its directions.

    Parameters
    ----------
    x : array of shape (T, B, I), or (B, T, I) at layout 1
        Input sequences.
    sequence_lens : int array of shape (B,) or None
        Their lengths.
    initial : sequence of array of shape (D, B, H), or (B, D, H) at layout 1, or None
        Where each state begins, None for zeros.
    parts : sequence of Layer
        One for each of D directions.

    Returns
    -------
    tuple of array
        The first state at all steps, zero beyond a sequence's end, `(T, D, B, H)` or
        `(B, T, D, H)`; then each state at the end.
    """
    shape, swap = check_shapes(x, initial, parts, layout), batch_first(layout)
    dtype, wide = x.dtype, widened(x.swapaxes(0, 1) if swap else x)
    within = active(sequence_lens, len(wide), shape[1])
    start = np.zeros(shape, dtype=wide.dtype)
    starts = [
        start if state is None else widened(state.swapaxes(0, 1) if swap else state)
        for state in initial
    ]
    hidden, last = [], []
    for place, layer in enumerate(parts):
        course = trajectories(wide, [state[place] for state in starts], within, layer, cell)
        hidden.append(in_order(course[0][1:], within, layer.reverse))
        # An empty sequence has no last output; its states are zero, as ONNX Runtime has it.
        last.append([np.where(within.any(axis=0)[:, np.newaxis], c[-1], 0) for c in course])
    results = np.stack(hidden, axis=1), *(np.stack(state) for state in zip(*last, strict=True))
    return tuple(as_given(array, swap).astype(dtype, copy=False) for array in results)


def check_shapes(
    x, initial: Sequence[Any], parts: Sequence[Layer], layout: int
) -> tuple[int, int, int]:
    """Return the shape (D, B, H) that states have at layout 0.

    Raises
    ------
    AttributeValueError
        The input or an initial state has another shape than the weights ask for.
    """
    swap, inputs = batch_first(layout), len(parts[0].w)
    if len(x.shape) != 3 or x.shape[-1] != inputs:
        raise AttributeValueError("shape of X", x.shape, f"three axes, the last of {inputs}")
    shape = len(parts), x.shape[0 if swap else 1], parts[0].hidden
    for state in initial:
        if state is not None:
            wanted = (shape[1], shape[0], shape[2]) if swap else shape
            _check("an initial state", state, wanted)
    return shape


def in_order(course: np.ndarray, within: np.ndarray, reverse: bool) -> np.ndarray:
    """Put steps (T, B, H) into the order of the input, zeros beyond the end of a sequence."""
    course = np.where(within[:, :, np.newaxis], course, 0)
    if reverse:
        course = np.take_along_axis(course, reversal(within)[:, :, np.newaxis], axis=0)
    return course


def as_given(array: np.ndarray, swap: bool) -> np.ndarray:
    """Move the batch, the last axis but one, to the front if that is the layout."""
    return np.moveaxis(array, -2, 0) if swap else array
