"""Recurrent layers on encrypted integers: the loop over time, unrolled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    add,
    affine,
    elementwise,
    matmul,
    move,
    requantize,
)
from cml_ops_builtin._shared.products import samples_of
from cml_ops_builtin._shared.recurrence import (
    Layer,
    active,
    as_given,
    batch_first,
    check_shapes,
    in_order,
    reversal,
    trajectories,
)

__all__ = ["applied", "clear", "columns", "gate", "grid_over", "linear", "moved", "unroll"]

#: What a state ranges over, and a cell that computes with encrypted states.
Ranges = list[tuple[float, float]]
Cell = Callable[..., tuple[Any, tuple[Any, ...]]]
Prepare = Callable[[LoweringContext, Layer, Ranges], Cell]


def clear(ctx: LoweringContext, **tensors: Any) -> None:
    """Refuse a node some of whose weights are encrypted."""
    for name, tensor in tensors.items():
        if isinstance(tensor, EncryptedTensor):
            ctx.refuse(f"{name} is encrypted", "It must be constant.")


def moved(ctx: LoweringContext, function: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    """Rearrange encrypted and clear tensors; nothing is emitted if all are clear."""
    if any(isinstance(t, EncryptedTensor) for t in tensors):
        return move(ctx, function, tensors)[0]
    return function(*tensors)


def applied(ctx: LoweringContext, function: Callable[..., Any], tensor: Any) -> Any:
    """Apply an elementwise function, free of cost, to an encrypted or a clear tensor."""
    if isinstance(tensor, EncryptedTensor):
        return elementwise(ctx, function, tensor)
    return function(tensor)


def columns(ctx: LoweringContext, tensor: Any, layer: Layer, *places: int) -> Any:
    """Return the columns of some gates."""
    return moved(ctx, lambda a: layer.gate(a, *places), [tensor])


def linear(ctx: LoweringContext, parts: Sequence[tuple[Any, np.ndarray]], bias: np.ndarray) -> Any:
    """Sum products of tensors (B, K) with weights (K, M), and a bias.

    Encrypted tensors are put side by side, so that there is one product and each keeps its own
    scale; clear ones come into the bias.
    """
    encrypted = [(t, w) for t, w in parts if isinstance(t, EncryptedTensor)]
    for tensor, weight in parts:
        if not isinstance(tensor, EncryptedTensor):
            bias = bias + np.matmul(tensor, weight)
    if not encrypted:
        return bias
    side = moved(ctx, lambda *a: np.concatenate(a, axis=-1), [t for t, _ in encrypted])
    return add(ctx, matmul(ctx, side, np.concatenate([w for _, w in encrypted])), bias)


def gate(ctx: LoweringContext, function: Callable[..., Any], tensor: Any) -> Any:
    """Apply an activation to a gate and look its result up at the node's activation width."""
    result = applied(ctx, function, tensor)
    return requantize(ctx, result) if isinstance(result, EncryptedTensor) else result


def grid_over(low: float, high: float, levels: int) -> Grid:
    """Return the grid over a range that has zero in it."""
    scale = (high - low) / max(levels - 1, 1) or 1.0
    return Grid(scale, -scale * round(-low / scale), levels)


def unroll(
    ctx: LoweringContext,
    x: Any,
    sequence_lens: Any,
    initial: Sequence[Any],
    parts: Sequence[Layer],
    prepare: Prepare,
    trace: Callable[..., Any],
    *,
    layout: int,
) -> tuple[Any, ...]:
    """Unroll a recurrent layer; shapes and results are those of `recur`.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x, initial : EncryptedTensor or array; None for a state that begins with zeros
        Inputs, and initial states.
    sequence_lens : int array or None
        Lengths.
    parts : sequence of Layer
        One for each direction.
    prepare : callable
        `prepare(ctx, layer, ranges)` gives a cell `cell(x, *states) -> (shown, states)`.
    trace : callable
        The cell in float, which says what the states range over.
    """
    clear(ctx, sequence_lens=sequence_lens)
    shape = check_shapes(x, initial, parts, layout)
    ctx, dtype, swap = attrs.evolve(ctx, feeds_lookup=True), x.dtype, batch_first(layout)
    if swap:
        x, *initial = (t if t is None else _swapped(ctx, t) for t in (x, *initial))
    within = active(sequence_lens, x.shape[0], shape[1])
    start = np.zeros(shape, dtype=dtype)
    x, *initial = (_gridded(ctx, start if t is None else t) for t in (x, *initial))
    shown, ends = [], []
    for place, layer in enumerate(parts):
        states = [moved(ctx, lambda a, d=place: a[d], [state]) for state in initial]
        cell = prepare(ctx, layer, _ranges(x, states, within, layer, trace))
        steps, last = _one_direction(ctx, x, states, within, layer.reverse, cell)
        shown += steps
        ends.append(last)

    def course(*steps: np.ndarray) -> np.ndarray:
        whole = np.reshape(steps, (len(parts), len(within), *shape[1:]))
        turned = [in_order(c, within, part.reverse) for c, part in zip(whole, parts, strict=True)]
        return as_given(np.stack(turned, axis=1), swap)

    def last(*states: np.ndarray) -> np.ndarray:
        return as_given(np.where(within.any(axis=0)[:, np.newaxis], states, 0), swap)

    results = [moved(ctx, course, shown)]
    results += [moved(ctx, last, states) for states in zip(*ends, strict=True)]
    return tuple(
        attrs.evolve(r, dtype=dtype) if isinstance(r, EncryptedTensor) else r.astype(dtype)
        for r in results
    )


def _one_direction(
    ctx: LoweringContext,
    x: Any,
    states: Sequence[Any],
    within: np.ndarray,
    reverse: bool,
    cell: Cell,
) -> tuple[list[Any], list[Any]]:
    """Unroll one direction; return what it shows at each step, and the states at the end.

    The first state's end is the last that was shown, which need not be on a grid.
    """
    time, batch = within.shape
    order = reversal(within) if reverse else np.arange(time)[:, np.newaxis]
    output: Any = np.zeros(states[0].shape)
    shown = []
    for source, running in zip(order, within, strict=True):
        if running.any():
            now = moved(ctx, lambda a, s=source: a[s, np.arange(batch)], [x])
            new, following = cell(now, *states)
            output = _kept(ctx, running, new, output)
            states = [_kept(ctx, running, n, o) for n, o in zip(following, states, strict=True)]
        shown.append(output)
    return shown, [output, *states[1:]]


def _swapped(ctx: LoweringContext, tensor: Any) -> Any:
    return moved(ctx, lambda a: a.swapaxes(0, 1), [tensor])


def _gridded(ctx: LoweringContext, tensor: Any) -> Any:
    """Look a tensor up on a grid unless it is on one, once for all steps."""
    if not isinstance(tensor, EncryptedTensor):
        return tensor
    view = affine(ctx, tensor)
    return EncryptedTensor.on_grid(view.register, view.scale, view.offset, tensor.dtype)


def _kept(ctx: LoweringContext, running: np.ndarray, new: Any, old: Any) -> Any:
    """Let sequences that have ended keep what they had."""
    if running.all():
        return new
    return moved(ctx, lambda n, o: np.where(running[:, np.newaxis], n, o), [new, old])


def _ranges(
    x: Any, states: Sequence[Any], within: np.ndarray, layer: Layer, trace: Callable[..., Any]
) -> Ranges:
    """What each state of the float cell ranges over, on the calibration samples, zero included."""
    real = [samples_of(t) for t in (x, *states)]
    count = max(len(r) for r in real)
    xs, *starts = (np.broadcast_to(r, (count, *r.shape[1:])) for r in real)
    merged = xs.swapaxes(0, 1).reshape(len(within), -1, xs.shape[-1])
    course = trajectories(
        merged,
        [s.reshape(-1, s.shape[-1]) for s in starts],
        np.tile(within, (1, count)),
        layer,
        trace,
    )
    finite = [state[np.isfinite(state)] for state in course]
    return [(float(f.min(initial=0.0)), float(f.max(initial=0.0))) for f in finite]
