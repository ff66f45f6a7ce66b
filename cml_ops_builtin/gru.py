"""GRU: a recurrent layer with an update gate and a reset gate.

Under encryption, a step takes 9 lookups for each hidden unit, or 11 with `linear_before_reset`:
one for each gate and for the new state, and two for each product of encrypted numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.products import bilinear
from cml_ops_builtin._shared.recurrence import Layer, layers
from cml_ops_builtin._shared.stepping import (
    Stepping,
    adder,
    at_binding,
    is_usual,
    ones_for,
    runner,
    stepping,
)
from cml_ops_builtin._shared.unrolling import applied, clear, columns, gate, linear, unroll

_GATES = ("Sigmoid", "Tanh")


def gru(x, w, r, b=None, sequence_lens=None, initial_h=None, **attributes):
    return _runner(w, r, b, **attributes)(x, sequence_lens, initial_h)


def prepare(x, w, r, b=None, sequence_lens=None, initial_h=None, **attributes):
    """Lay out the weights."""
    run = at_binding(_runner, w, r, b, **attributes)
    return run and (lambda x, w, r, b=None, lens=None, h=None: run(x, lens, h))


def _runner(w, r, b, *, linear_before_reset=0, output_sequence=0, layout=0, **attributes):
    late = bool(linear_before_reset)
    parts = layers(w, r, b, gates=3, default=_GATES, **attributes)
    cell = partial(_cell, late=late)
    if not is_usual(_GATES, attributes["activations"], attributes["clip"]):
        return runner(parts, cell, layout=layout)
    lay_out = partial(stepping, order=(1, 0, 2), halved=2, doubled=(2,), late=late)
    loop = _late_loop if late else _loop
    return runner(parts, cell, layout=layout, loop=loop, lay_out=lay_out)


def _loop(way: Stepping, inputs: np.ndarray, hidden: np.ndarray, h: np.ndarray):
    """Step through a sequence, the reset gate before the product; gates are reset and update.

    Both gates are twice what they should be.
    """
    gates, new = np.empty((2, *h.shape), dtype=h.dtype), np.empty((1, *h.shape), dtype=h.dtype)
    (reset, update), rest, one = gates, np.empty_like(h), ones_for(gates)
    compute, compute_new = way.gates(0, 2, gates), way.gates(2, 3, new)
    add, multiply, tanh, mix = np.add, np.multiply, np.tanh, _mixer(update, new[0])
    for given, out in zip(inputs, hidden, strict=True):
        compute(h, given)
        tanh(gates, gates)
        add(gates, one, gates)
        multiply(reset, h, rest)
        compute_new(rest, given)
        h = mix(h, out)


def _late_loop(way: Stepping, products: np.ndarray, hidden: np.ndarray, h: np.ndarray):
    """Step through a sequence, the reset gate after the product (`linear_before_reset`)."""
    room = np.empty((3, *h.shape), dtype=h.dtype)
    gates, new = room[:2], room[2]
    (reset, update), one = gates, ones_for(gates)
    times, mix = way.times(0, 3, room), _mixer(update, new)
    add, multiply, tanh = np.add, np.multiply, np.tanh
    for product, out in zip(products, hidden, strict=True):
        times(h)
        add(gates, product[:2], gates)
        tanh(gates, gates)
        add(gates, one, gates)
        add(new, way.rb, new)
        multiply(new, reset, new)
        add(new, product[2], new)
        h = mix(h, out)


def _mixer(update: np.ndarray, at: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what writes the next state, (1 - z) n + z h, and returns where.

    It is n + 2 z (h - n) / 2, with the update gate 2 z, and n the tanh of what is at `at`.
    """
    subtract, multiply, tanh = np.subtract, np.multiply, np.tanh
    # The second array does not begin where the first ends: NumPy would be slow with both.
    room = np.empty((2, at.size + 64), dtype=at.dtype)[:, : at.size]
    new, rest = room.reshape(2, *at.shape)
    add = adder(room, (1.0, 0.5))

    def mix(h: np.ndarray, out: np.ndarray) -> np.ndarray:
        tanh(at, new)
        subtract(h, new, rest)
        multiply(rest, update, rest)
        add(out.reshape(-1))
        return out

    return mix


def _cell(layer: Layer, product: np.ndarray, h: np.ndarray, late: bool) -> tuple[np.ndarray, ...]:
    f, g = layer.functions
    gates = layer.gate(product, 0, 1) + h @ layer.gate(layer.r, 0, 1) + layer.gate(layer.rb, 0, 1)
    update, reset = np.split(f(gates), 2, axis=-1)
    r, b = layer.gate(layer.r, 2), layer.gate(layer.rb, 2)
    back = reset * (h @ r + b) if late else (reset * h) @ r + b
    new = g(layer.gate(product, 2) + back)
    return ((1.0 - update) * new + update * h,)


def quantized_gru(
    ctx: LoweringContext,
    x,
    w,
    r,
    b=None,
    sequence_lens=None,
    initial_h=None,
    *,
    linear_before_reset,
    output_sequence=0,
    layout=0,
    **attributes,
):
    clear(ctx, W=w, R=r, B=b)
    parts = layers(w, r, b, gates=3, default=_GATES, **attributes)
    late = bool(linear_before_reset)
    return unroll(
        ctx,
        x,
        sequence_lens,
        (initial_h,),
        parts,
        partial(_prepare, late=late),
        partial(_cell, late=late),
        layout=layout,
    )


def _prepare(ctx: LoweringContext, layer: Layer, ranges, *, late: bool):
    f, g = layer.functions
    levels = 2 ** (ctx.bits.activation_bits or 4)
    # With a gate of 2^n levels, such a state makes a sum of n + 2 bits.
    wide = 3 * levels
    w_new, r_new, wb_new, rb_new = (
        layer.gate(a, 2) for a in (layer.w, layer.r, layer.wb, layer.rb)
    )

    def gates(x, h):
        parts = [(x, layer.gate(layer.w, 0, 1)), (h, layer.gate(layer.r, 0, 1))]
        both = gate(ctx, f, linear(ctx, parts, layer.gate(layer.wb + layer.rb, 0, 1)))
        return columns(ctx, both, layer, 0), columns(ctx, both, layer, 1)

    def before_reset(x, h, reset):
        back = linear(ctx, [(h, r_new)], rb_new)
        terms = [(reset, back), (linear(ctx, [(x, w_new)], wb_new), np.ones(1))]
        return bilinear(ctx, terms, levels=2 * levels, operands=levels)

    def after_reset(x, h, reset):
        back = bilinear(ctx, [(reset, h)], levels=2 * levels, operands=wide)
        return linear(ctx, [(x, w_new), (back, r_new)], wb_new + rb_new)

    def cell(x, h):
        update, reset = gates(x, h)
        new = applied(ctx, g, (before_reset if late else after_reset)(x, h, reset))
        kept = applied(ctx, lambda v: 1.0 - v, update)
        h = bilinear(ctx, [(kept, new), (update, h)], levels=wide, operands=wide)
        return h, (h,)

    return cell


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    both = uniform(2, 6, 2), uniform(2, 6, 2), uniform(2, 12)
    one = (
        np.float32([[[1.2], [-0.9], [0.7]]]),
        np.float32([[[-0.8], [0.6], [1.1]]]),
        np.float32([[0.1, -0.2, 0.3, -0.3, 0.2, -0.1]]),
    )
    x = np.float32([[[1.0], [-0.6]], [[-0.8], [0.9]]])
    reverse = np.float32([[[[-0.0467478], [-0.1548195]]], [[[-0.2628227], [0.0]]]])
    clipped = np.float32([[[[0.2005366], [-0.1210485]]], [[[-0.0520776], [0.1196535]]]])
    quantized = {"n_bits": 3, "tolerance": 0.2}
    return OpPlugin(
        schema=OpSchema("GRU", since_versions=(3, 7, 14, 22), kind=OpKind.LINEAR),
        numpy_op=gru,
        quantized_op=quantized_gru,
        prepare=prepare,
        examples=(
            OpExample(
                (uniform(4, 3, 2), *both, None, uniform(2, 3, 2)),
                {"hidden_size": 2, "direction": "bidirectional", "linear_before_reset": 1},
                n_outputs=2,
                opset=13,
                encrypted=(),
                name="both directions, initial states",
            ),
            OpExample(
                (x, *one, np.int32([2, 1])),
                {"hidden_size": 1, "direction": "reverse"},
                (reverse,),
                **quantized,
                name="reverse, lengths",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.7, "linear_before_reset": 1},
                (clipped,),
                **quantized,
                name="linear before reset, clip",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.7, "linear_before_reset": 1, "output_sequence": 1},
                (clipped,),
                opset=6,
                encrypted=(),
                name="early revision",
            ),
            OpExample(
                (x.swapaxes(0, 1), *one, None, np.float32([[[0.5]], [[-0.8]]])),
                {"hidden_size": 1, "layout": 1},
                encrypted=(0, 5),
                **quantized,
                name="batch first, encrypted initial state",
            ),
        ),
        restrictions="W, R, B and sequence_lens must be clear",
    )
