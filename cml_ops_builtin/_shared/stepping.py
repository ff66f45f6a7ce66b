"""Recurrent layers in float with their usual activations, sigmoid and tanh, and no clip.

A step works in arrays that are made once, with gates along the first axis, so that those of some
gates are contiguous. With 2 sigmoid(x) = 1 + tanh(x / 2) and weights that are halved beforehand,
one call of tanh serves all gates; what a gate has made twice as large is halved where it is used:
by weights, or where sums are taken (`adder`).

The input's products are one matrix product for many steps, which each step adds to its own. In a
small layer adding takes longer than multiplying: there, each step multiplies its hidden state,
its input and a one, side by side, with all weights and biases (8 x 64 units: 0.8 of the time).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import UNKNOWN, AttributeValueError
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.recurrence import (
    Cell,
    Layer,
    as_given,
    batch_first,
    check_shapes,
    recur,
)
from cml_ops_builtin._shared.weight_layouts import laid_out, pieces_of_columns

__all__ = ["Loop", "Stepping", "adder", "at_binding", "is_usual", "ones_for", "runner", "stepping"]

#: Elements of the input's products that are computed at a time.
_CHUNK = 1 << 17

#: Elements up to which an array of ones is added sooner than the number one.
_FEW = 1 << 10

#: Weights of a layer that a core's cache holds beside the rest: 512 KiB in float32.
_SMALL_LAYER = 1 << 17

#: `loop(way, inputs, hidden, *states)`: takes the steps' inputs, as `Stepping.gates` does, and
#: hidden (T, B, H) in the order of computation; writes each step's hidden state, and changes the
#: other states. Of a single sequence, arrays have no axis B.
Loop = Callable[..., None]


@attrs.frozen(slots=True, eq=False)
class Stepping:
    """One direction of a recurrent layer, as its loop takes it.

    Parameters
    ----------
    w : array of shape (I, G * H)
        Weights of the input.
    b : array of shape (G * H,)
        Bias of the input's product: that of the hidden state too, as far as it is only added.
    r : array of shape (H, G * H)
        Weights of the hidden state.
    rb : array of shape (H,) or None
        What is left of the hidden state's bias.
    reverse : bool
        Whether it begins with the last element of a sequence.
    joined : array of shape (H + I + 1, G * H) or None
        All weights and the bias, if a step multiplies with all of them.
    """

    w: np.ndarray
    b: np.ndarray
    r: np.ndarray
    rb: np.ndarray | None
    reverse: bool
    joined: np.ndarray | None = None
    _stacks: dict[tuple[int, int, int], np.ndarray] = attrs.field(factory=dict, init=False)

    def joins(self, alone: bool) -> bool:
        """Whether a step multiplies with all weights; a single sequence has little to add."""
        return self.joined is not None and not alone

    def gates(
        self, first: int, last: int, out: np.ndarray
    ) -> Callable[[np.ndarray, np.ndarray], Any]:
        """Return what computes gates before their activation, into `out`, from `(h, given)`.

        Parameters
        ----------
        first, last : int
            The first gate, and the one that is not included any more.
        out : array of shape (gates, B, H), or (gates, H) for vectors
            Where the gates go.

        Returns
        -------
        callable
            `h` is (B, H), `given` a step's element of the loop's `inputs`: rows (B, H + I + 1)
            in which the hidden state goes before the rest, or products of the input (G, B, H).
        """
        size = len(self.r)
        if self.joins(out.ndim == 2):
            multiply, stack, target = self._factors(self.joined, first, last, out)

            def joined(h: np.ndarray, given: np.ndarray) -> None:
                given[..., :size] = h
                multiply(given, stack, target)

            return joined
        multiply, weights, target = self._factors(self.r, first, last, out)
        add, whole = np.add, len(out) * size == len(self.b)

        def added(h: np.ndarray, given: np.ndarray) -> None:
            multiply(h, weights, target)
            add(out, given if whole else given[first:last], out)

        return added

    def times(self, first: int, last: int, out: np.ndarray) -> Callable[[np.ndarray], Any]:
        """Return what multiplies a hidden state with weights of gates; see `gates`."""
        multiply, weights, target = self._factors(self.r, first, last, out)
        return lambda h: multiply(h, weights, target)

    def _factors(
        self, whole: np.ndarray, first: int, last: int, out: np.ndarray
    ) -> tuple[Callable[..., Any], np.ndarray, np.ndarray]:
        """A product, its right factor, and where it goes, for some gates of all weights."""
        size = len(self.r)
        weights = whole[:, first * size : last * size]
        if out.ndim == 2:
            # The same memory, and one product in place of one for each gate.
            return np.dot, weights, out.reshape(-1)
        count, batch, _ = out.shape
        # As `right_factor` does it, for the columns of each gate.
        pieces = pieces_of_columns(batch, len(weights), size)
        key = first, last, pieces
        if key not in self._stacks:
            parts = weights.reshape(len(weights), count, pieces, size // pieces)
            self._stacks[key] = np.ascontiguousarray(parts.transpose(1, 2, 0, 3))
        target = out.reshape(count, batch, pieces, size // pieces).swapaxes(1, 2)
        return np.matmul, self._stacks[key], target


def ones_for(gates: np.ndarray) -> np.ndarray:
    """What to add to gates for one to each of their elements."""
    return np.ones(gates.shape if gates.size <= _FEW else (), dtype=gates.dtype)


def adder(pair: np.ndarray, weights: Sequence[float]) -> Callable[[np.ndarray], Any]:
    """Return what writes the weighted sum of two arrays, in one call.

    Parameters
    ----------
    pair : array of shape (2, ...)
        What is added; each of the two is contiguous.
    weights : sequence of two numbers
        What the two are multiplied with.

    Returns
    -------
    callable
        It takes a vector of as many elements, where the sum goes.
    """
    dot, factors, terms = np.dot, np.array(weights, dtype=pair.dtype), pair.reshape(2, -1)
    return lambda out: dot(factors, terms, out)


def stepping(
    layer: Layer,
    *,
    order: Sequence[int],
    halved: int,
    doubled: Sequence[int] = (),
    late: bool = False,
) -> Stepping:
    """Lay out the weights of a direction.

    Parameters
    ----------
    order : sequence of int
        The operator's gates as the loop takes them.
    halved : int
        How many of the first ones are sigmoids.
    doubled : sequence of int
        Places in `order` of the gates for which the loop gives a hidden state twice as large, or
        takes twice their product.
    late : bool
        Whether the hidden state's bias of the last gate is added by the loop.
    """
    size, dtype = layer.hidden, layer.w.dtype
    half = dtype.type(0.5)
    scale = np.ones(len(order) * size, dtype=dtype)
    scale[: halved * size] = half
    of_hidden = np.repeat(np.where(np.isin(np.arange(len(order)), doubled), half, 1), size)
    bias = layer.rb.copy()
    if late:
        bias[-size:] = 0
    w, r = layer.gate(layer.w, *order) * scale, layer.gate(layer.r, *order) * scale
    r *= of_hidden.astype(dtype)
    b = layer.gate(layer.wb + bias, *order) * scale
    # Of a hidden state that is small beside the input, a step multiplies more than it need.
    small = len(w) <= 2 * size and w.size + r.size < _SMALL_LAYER
    return Stepping(
        laid_out(w),
        b,
        np.ascontiguousarray(r),
        layer.rb[-size:] * half if late else None,
        layer.reverse,
        np.concatenate([r, w, b[np.newaxis]]) if small and not late else None,
    )


def is_usual(default: Sequence[str], activations: Sequence[str] | None, clip: float | None) -> bool:
    """Whether activations are the default ones, in all directions, and there is no clip."""
    names = None if activations is None else [name.lower() for name in activations]
    usual = [name.lower() for name in default]
    return clip is None and names in (None, usual, 2 * usual)


def runner(
    layers: Sequence[Layer],
    cell: Cell,
    *,
    layout: int,
    loop: Loop | None = None,
    lay_out: Callable[[Layer], Stepping] | None = None,
) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return `run(x, sequence_lens, *initial)`, which takes the loop if it can.

    Parameters
    ----------
    cell : callable
        What `recur` takes for sequences of different lengths.
    loop, lay_out : callable, optional
        The loop, and what makes its weights of a layer. None if activations are unusual.
    """
    directions = [] if lay_out is None else [lay_out(layer) for layer in layers]

    def run(x, sequence_lens, *initial):
        if loop is None or sequence_lens is not None:
            return recur(x, sequence_lens, initial, layers, cell, layout=layout)
        return step_through(x, initial, layers, directions, loop, layout=layout)

    return run


def at_binding(
    make: Callable[..., Callable[..., tuple[np.ndarray, ...]]], *weights: Any, **attributes: Any
) -> Callable[..., tuple[np.ndarray, ...]] | None:
    """What `make` makes of weights and attributes, if all are constant and fit each other."""
    if any(weight is UNKNOWN for weight in weights):
        return None
    try:
        return make(*weights, **attributes)
    except AttributeValueError:
        # It is said again, with the node's inputs, when the model is run.
        return None


def step_through(
    x: np.ndarray,
    initial: Sequence[np.ndarray | None],
    layers: Sequence[Layer],
    directions: Sequence[Stepping],
    loop: Loop,
    *,
    layout: int,
) -> tuple[np.ndarray, ...]:
    """Run a recurrent layer whose sequences are all of full length; see `recurrence.recur`."""
    shape, swap = check_shapes(x, initial, layers, layout), batch_first(layout)
    dtype, wide = x.dtype, x.swapaxes(0, 1) if swap else x
    # Looking for half precision takes as long as half a step.
    wide = widened(wide) if dtype.itemsize == 2 else wide
    time = len(wide)
    hidden = np.empty((time, *shape), dtype=wide.dtype)
    ends = [_start(state, shape, wide.dtype, swap) for state in initial]
    # Of a single sequence, steps are vectors, which NumPy is faster with than with matrices.
    alone = (0,) if shape[1] == 1 else ()
    for place, direction in enumerate(directions):
        states = [state[(place, *alone)] for state in ends]
        course = hidden[(slice(None), place, *alone)]
        feed = _rows if direction.joins(bool(alone)) else _products
        for inputs, written in feed(wide[(slice(None), *alone)], direction, course):
            loop(direction, inputs, written, *states)
            states[0] = written[-1]
        ends[0][place] = course[0 if direction.reverse else -1] if time else 0
    if not time:
        ends = [np.zeros_like(state) for state in ends]
    return tuple(as_given(a, swap).astype(dtype, copy=False) for a in (hidden, *ends))


def _products(
    x: np.ndarray, way: Stepping, course: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Products of the input, biases included, for as many steps at a time as a cache holds.

    Yields
    ------
    tuple
        Arrays in the order of computation: (steps, G, B, H), and where hidden states go.
    """
    _, *batch, inputs = x.shape
    size, wide = len(way.r), len(way.b)
    for steps in _spans(len(x), math.prod(batch) * wide, way.reverse):
        some = x[steps]
        product = np.matmul(some.reshape(-1, inputs), way.w)
        np.add(product, way.b, product)
        gates = product.reshape(len(some), *batch, wide // size, size)
        yield gates.swapaxes(1, -2), course[steps]


def _rows(
    x: np.ndarray, way: Stepping, course: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows with input and one, for as many steps at a time as a cache holds.

    Yields
    ------
    tuple
        Arrays in the order of computation: (steps, B, H + I + 1), and where hidden states go.
    """
    size, wide = len(way.r), len(way.joined)
    for steps in _spans(len(x), math.prod(x.shape[1:-1]) * wide, way.reverse):
        some = x[steps]
        rows = np.empty((*some.shape[:-1], wide), dtype=x.dtype)
        rows[..., size:-1], rows[..., -1] = some, 1
        yield rows, course[steps]


def _spans(time: int, step: int, reverse: bool) -> Iterator[slice]:
    """Divide steps of so many elements into parts that a cache holds, in computation's order."""
    some = max(1, _CHUNK // max(step, 1))
    for first in range(0, time, some):
        last = min(first + some, time)
        if reverse:
            before = time - last - 1
            yield slice(time - first - 1, before if before >= 0 else None, -1)
        else:
            yield slice(first, last)


def _start(state: Any, shape: tuple[int, ...], dtype: np.dtype, swap: bool) -> np.ndarray:
    """Where a state begins, in an array of its own."""
    if state is None:
        return np.zeros(shape, dtype=dtype)
    return np.array(state.swapaxes(0, 1) if swap else state, dtype=dtype, order="C")
