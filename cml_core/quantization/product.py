"""What every product of encrypted integers with clear weights does to its weights.

Rounded to integers, scaled so that each channel fills the width that its lookup keeps, corrected
for their mean error; all of it in the clear, by what the calibration data shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from cml_core.program.cost import APPROXIMATE, demand_steps
from cml_core.program.instructions import bit_width
from cml_core.quantization.affine import AffineView
from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.known_products import Product
from cml_core.quantization.settling import rounded_top
from cml_core.quantization.weights import (
    EXACT,
    adapt_weights,
    exact_weights,
    quantize_weights,
    symmetric_top,
)

__all__ = ["LinearMap", "input_matrix", "product"]

#: Samples that the mean error of weights is measured on.
_SAMPLES = 1024
#: Most numbers in the matrix of inputs that weights are adapted to.
_INPUTS = 2**23
#: How often the steps of weights are matched to the width that is to be filled.
_REFINEMENTS = 3
#: Share of the width that is aimed at, as rounding weights anew moves the ends by some integers,
#: and from which on it counts as filled.
_AIM, _FILLED = 0.98, 0.9
#: Root mean square of integer weights below which they are not made coarser for cheaper lookups,
#: and how far demands on those lookups stay below a step of their price, in bits.
_COARSE, _RESERVE = 2.0, 0.1
#: Largest of the weights of bits whose sum is only decrypted, and how near to a power of two the
#: ratio of two weights may be, in bits, to count as one.
_FINEST, _SAME = 2**12, 1e-6
#: Bits of sums of bits that are looked up whole, whatever calibration has seen of them.
_COUNTED = 4
#: How much coarser than asked for weights may become, so that an accumulator needs no further bit.
_COARSER = 1.12


@attrs.frozen(slots=True, eq=False)
class LinearMap:
    """A linear operation L with clear weights, and how to lay them out.

    Parameters
    ----------
    weight : float array
        Its weights on the integers of the encrypted factor, the factor's scales multiplied in.
    axes : tuple of int
        Axes of `weight` that belong to one output channel.
    emit : callable
        Emits the product with integer weights.
    apply : callable
        L with its real weights, on real arrays with or without a leading axis of samples.
    as_result : callable
        Brings what has one entry per channel from the axes of `weight` to those of the result.
    rows : callable or None
        Integer samples `(N, *S)` to the matrix of inputs `(G, P, K)` that each of G groups of
        channels multiplies; None where there is no such matrix.
    as_columns, from_columns : callable
        Weights to `(G, K, M)` and back.
    extra : array
        What comes on top of the product, of a shape that broadcasts to the result's.
    again : callable or None
        `again(ctx, matrix)` emits the product with `L` followed by a matrix (M, N) over its
        result's channels, in place of L alone.
    axis : int
        The axis of the result that its channels lie on.
    """

    weight: np.ndarray
    axes: tuple[int, ...]
    emit: Callable[[np.ndarray], Register]
    apply: Callable[[np.ndarray], np.ndarray]
    as_result: Callable[[np.ndarray], np.ndarray]
    rows: Callable[[np.ndarray], np.ndarray] | None
    as_columns: Callable[[np.ndarray], np.ndarray]
    from_columns: Callable[[np.ndarray], np.ndarray]
    extra: np.ndarray | float = 0.0
    again: Callable[[LoweringContext, np.ndarray], EncryptedTensor] | None = None
    axis: int = -1


def product(
    ctx: LoweringContext, x: EncryptedTensor, view: AffineView, linear: LinearMap
) -> EncryptedTensor:
    """Emit the integer product and put all that is known in the clear into its decode."""
    of_bits = _is_read_bits(ctx, view)
    finely = of_bits and _is_fine(ctx, linear)
    integers, step = (_finely if finely else _rounded)(ctx, view, linear)
    register = _emitted(ctx, view, linear, integers)
    shared = tuple(k for k, size in enumerate(linear.as_result(step).shape) if size == 1)
    span = _spans(ctx, register, shared)
    target = None if finely else _target(ctx, span)
    if target is not None:
        norm = linear.as_result(_norm(integers, linear.axes))
        needed = norm * (target / np.maximum(span, 1))
        terms = np.count_nonzero(linear.weight, axis=linear.axes).max(initial=1)
        target, loudest = _quiet(ctx, view, target, needed, _COARSE * math.sqrt(terms))
        for _ in range(_REFINEMENTS):
            norm = linear.as_result(_norm(integers, linear.axes))
            full = span / max(1.0, min(target - 1.0, _AIM * target))
            ratio = np.where(span > 0, np.maximum(full, norm / loudest), 1.0)
            if ratio.max() <= 1 / _AIM and ratio.min() >= _FILLED:
                break
            integers, step = _refined(ctx, view, linear, integers, step, _as_step(ratio, step))
            register = linear.emit(integers)
            span = _spans(ctx, register, shared)
    scale = linear.as_result(step)
    offset = linear.apply(view.offset) + linear.extra
    correction = np.zeros(())
    if ctx.config.bias_correction and not finely:
        correction = _mean_error(view, register, scale, linear, shared)
    offset = offset + correction
    ctx.builder.products[register.position] = Product(
        integers,
        view.register,
        scale,
        correction,
        linear.again,
        linear.axis % max(1, len(register.shape)),
        linear.emit,
        lambda q: linear.apply(view.scale * q),
        of_bits,
    )
    return EncryptedTensor.on_grid(register, scale, offset, x.dtype)


def _as_step(per_channel: np.ndarray, step: np.ndarray) -> np.ndarray:
    return per_channel.reshape(step.shape)


def _is_read_bits(ctx: LoweringContext, view: AffineView) -> bool:
    """Whether a product takes bits and is only decrypted: its weights are all that it says."""
    interval = view.register.interval
    return interval.high - interval.low == 1 and not ctx.feeds_lookup


def _emitted(
    ctx: LoweringContext, view: AffineView, linear: LinearMap, integers: np.ndarray
) -> Register:
    """Emit the product; a sum of few bits that will be looked up gets all integers that it has.

    Such sums count conditions, and calibration need not have met all of them that hold at once.
    """
    interval = view.register.interval
    largest = np.abs(integers).max(initial=0)
    terms = np.count_nonzero(integers, axis=linear.axes).max(initial=0)
    counts = interval.high - interval.low == 1 and largest == 1 and terms < 2**_COUNTED
    if not ctx.feeds_lookup or not counts:
        return linear.emit(integers)
    with ctx.builder.proving():
        return attrs.evolve(linear.emit(integers), packed=True)


def _is_fine(ctx: LoweringContext, linear: LinearMap) -> bool:
    """Whether weights may be as fine as is of use: those of a matrix whose sums go in digits."""
    own = ctx.config.nodes.get(ctx.bound.name)
    return linear.weight.ndim == 2 and (own is None or own.weight_bits is None)


def _finely(
    ctx: LoweringContext, view: AffineView, linear: LinearMap
) -> tuple[np.ndarray, np.ndarray]:
    """Weights in steps of a 4096th of the largest, which is a whole number of them.

    Channels of smaller weights have steps that are smaller by a power of two, so that sums which
    are equal in several channels stay so, as votes of trees for classes are.
    """
    exact = exact_weights(linear.weight, linear.axes)
    if exact is not None:
        return exact
    largest = np.abs(linear.weight).max(axis=linear.axes, keepdims=True, initial=0.0)
    most = largest.max(initial=0.0) or 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        halvings = np.floor(np.log2(most) - np.log2(largest) + _SAME)
    step = most / _FINEST * np.exp2(-np.where(largest > 0, halvings, 0.0))
    return np.rint(linear.weight / step).astype(np.int64), step


def _rounded(
    ctx: LoweringContext, view: AffineView, linear: LinearMap
) -> tuple[np.ndarray, np.ndarray]:
    bits = ctx.bits.weight_bits or 4
    integers, step = quantize_weights(linear.weight, bits, axes=linear.axes)
    return _adapted(ctx, view, linear, integers, step, symmetric_top(bits)), step


def _adapted(
    ctx: LoweringContext,
    view: AffineView,
    linear: LinearMap,
    integers: np.ndarray,
    step: np.ndarray,
    top: int | np.ndarray,
) -> np.ndarray:
    """Round all weights of a channel together, if that was asked for and would change any."""
    wanted = linear.weight / step
    if ctx.config.weight_rounding != "adaptive" or linear.rows is None:
        return integers
    if view.register.samples.size == 0 or np.abs(wanted - integers).max(initial=0.0) <= EXACT:
        return integers
    inputs = input_matrix(view.register.samples, linear.rows)
    columns = linear.as_columns(wanted)
    tops = linear.as_columns(np.broadcast_to(top, wanted.shape)).max(axis=1)
    adapted = [adapt_weights(w, x, t) for w, x, t in zip(columns, inputs, tops, strict=True)]
    return linear.from_columns(np.stack(adapted))


def input_matrix(samples: np.ndarray, rows: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The matrix of inputs on as many samples as its size allows."""
    size = rows(samples[:1]).size
    count = max(1, min(len(samples), _INPUTS // max(size, 1)))
    matrix: np.ndarray = rows(samples[:count]).astype(np.float64)
    return matrix


def _spans(ctx: LoweringContext, register: Register, shared: tuple[int, ...]) -> np.ndarray:
    """How many integers each channel of a result occupies, less one."""
    sizes = tuple(1 if axis in shared else n for axis, n in enumerate(register.shape))
    count = math.prod(sizes)
    channel = np.broadcast_to(np.arange(count).reshape(sizes), register.shape)
    low, high = ctx.builder.occupied(register, channel, count)
    span: np.ndarray = (high - low).reshape(sizes)
    return span


def _target(ctx: LoweringContext, span: np.ndarray) -> int | None:
    """How many integers every channel should occupy, less one; None if nothing will be rounded.

    Rounding takes the same number of low bits from all channels, so one that uses few integers
    would lose most of what it says.
    """
    widest = int(span.max(initial=0))
    width = bit_width(0, widest)
    if ctx.rounds_to is None or widest == 0 or width <= ctx.rounds_to[0]:
        return None
    keep, exact = ctx.rounds_to
    while widest > _COARSER * rounded_top(width, width - keep, exact):
        width += 1
    return rounded_top(width, width - keep, exact)


def _norm(integers: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    squares = np.square(integers.astype(np.float64)).sum(axis=axes, keepdims=True)
    norm: np.ndarray = np.sqrt(squares)
    return norm


def _quiet(
    ctx: LoweringContext, view: AffineView, target: int, norm: np.ndarray, least: float
) -> tuple[int, float]:
    """Choose a width at which weights amplify noise so little that lookups before them stay cheap.

    A lookup's price rises in steps with the noise that its result must not exceed, which is less
    the larger the weights that follow. With approximate rounding every bit less in the weights
    is a bit less in the accumulator, and nothing else depends on them.

    Parameters
    ----------
    target : int
        Integers, less one, that each channel would occupy.
    norm : array
        Norm of each channel's weights if it did.
    least : float
        Norm that is not given up.

    Returns
    -------
    target : int
        As before, or divided by a power of two.
    loudest : float
        Largest norm of weights; a channel that needs more does not fill its width.
    """
    assert ctx.rounds_to is not None
    keep, exact = ctx.rounds_to
    if exact or view.register.noise == 0.0 or not ctx.bits.rounding_bits:
        return target, math.inf
    for step in demand_steps(ctx.bits.rounding_bits):
        loudest = 2.0 ** (step - APPROXIMATE - _RESERVE - keep) / math.sqrt(view.register.noise)
        narrower, needed = target, norm
        while needed.max() > loudest and np.median(needed) >= 2 * least and narrower >> (keep + 1):
            narrower, needed = narrower // 2, needed / 2
        if np.median(needed) <= loudest:
            return narrower, loudest
    return target, math.inf


def _refined(
    ctx: LoweringContext,
    view: AffineView,
    linear: LinearMap,
    integers: np.ndarray,
    step: np.ndarray,
    ratio: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights with other steps, `ratio` times as large.

    Weights that are exact are multiplied by whole numbers and stay so.
    """
    exact = np.abs(linear.weight - integers * step).max(axis=linear.axes, keepdims=True, initial=0)
    whole = exact <= 1e-6 * np.abs(linear.weight).max(axis=linear.axes, keepdims=True, initial=0)
    factor = np.maximum(1, np.floor(1 / ratio + 1e-9)).astype(np.int64)
    finer = np.where(whole, step / factor, step * ratio)
    top = np.ceil(symmetric_top(ctx.bits.weight_bits or 4) / np.minimum(ratio, 1.0))
    top = np.maximum(top, np.abs(integers).max(axis=linear.axes, keepdims=True) * factor)
    nearest = np.clip(np.rint(linear.weight / finer), -top, top).astype(np.int64)
    return _adapted(ctx, view, linear, nearest, finer, top), finer


def _mean_error(
    view: AffineView,
    register: Register,
    scale: np.ndarray,
    linear: LinearMap,
    shared: tuple[int, ...],
) -> np.ndarray:
    """Mean error that integer weights make on the calibration data, for each output channel.

    Rounded weights shift the mean of a channel wherever its inputs have one. Adding the mean
    error to the offset is free (bias correction: Nagel et al. 2019, arXiv:1906.04721, section
    4.2; here it is measured on data).
    """
    samples = view.register.samples[:_SAMPLES]
    if samples.size == 0:
        return np.zeros(())
    wanted = linear.apply(view.scale * samples.astype(np.float64))
    error = wanted - scale * register.samples[:_SAMPLES]
    mean: np.ndarray = error.mean(axis=0).mean(axis=shared, keepdims=True)
    return mean
