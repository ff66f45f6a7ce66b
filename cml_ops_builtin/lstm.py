"""LSTM: a recurrent layer with input, output and forget gates and a cell.

The clip comes before every activation, as the specification has it; ONNX Runtime leaves it out
before the one of the cell (https://github.com/microsoft/onnxruntime/issues/27224).

Under encryption the loop is unrolled. A step takes 11 lookups for each hidden unit: one for each
of four gates and for the activation of the cell, and two for each product of encrypted numbers.
"""

from __future__ import annotations

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

_GATES = ("Sigmoid", "Tanh", "Tanh")


def lstm(x, w, r, b=None, sequence_lens=None, initial_h=None, initial_c=None, p=None, **attributes):
    return _runner(w, r, b, p, **attributes)(x, sequence_lens, initial_h, initial_c)


def prepare(
    x, w, r, b=None, sequence_lens=None, initial_h=None, initial_c=None, p=None, **attributes
):
    """Lay out the weights."""
    run = at_binding(_runner, w, r, b, p, **attributes)
    if run is None:
        return None
    return lambda x, w, r, b=None, lens=None, h=None, c=None, p=None: run(x, lens, h, c)


def _runner(w, r, b, p, *, input_forget=0, output_sequence=0, layout=0, **attributes):
    parts = layers(w, r, b, p, gates=4, default=_GATES, **attributes)
    if input_forget:
        return runner(parts, _coupled, layout=layout)
    if p is not None or not is_usual(_GATES, attributes["activations"], attributes["clip"]):
        return runner(parts, _cell, layout=layout)
    lay_out = partial(stepping, order=(0, 2, 1, 3), halved=3, doubled=range(4))
    return runner(parts, _cell, layout=layout, loop=_loop, lay_out=lay_out)


def _loop(way: Stepping, inputs: np.ndarray, hidden: np.ndarray, h: np.ndarray, c: np.ndarray):
    """Step through a sequence; gates are input, forget, output and the new cell.

    The output gate is twice what it should be, and so is the hidden state until the end.

    No operation writes just before or behind what it reads: NumPy takes that for an overlap, and
    leaves out its vector instructions (15 times the time for tanh).
    """
    room = np.empty((5, *h.shape), dtype=h.dtype)
    room[4] = c
    at, gates, cell = room[:4], room[:3], room[4]
    line = cell.reshape(-1)
    taken, _, shown, _ = at
    # Both products of the new cell at once: input times new, forget times old.
    pair, both, ended = room[:2], room[3:], taken
    compute, renew, one = way.gates(0, 4, at), adder(pair, (0.5, 0.5)), ones_for(gates)
    # Names of its own save a tenth of a step of a small layer.
    add, multiply, tanh = np.add, np.multiply, np.tanh
    h = h + h
    for given, out in zip(inputs, hidden, strict=True):
        compute(h, given)
        tanh(at, at)
        add(gates, one, gates)
        multiply(pair, both, pair)
        renew(line)
        tanh(cell, ended)
        multiply(shown, ended, out)
        h = out
    hidden *= h.dtype.type(0.5)
    c[...] = cell


def _cell(
    layer: Layer, product: np.ndarray, h: np.ndarray, c: np.ndarray, coupled: bool = False
) -> tuple[np.ndarray, ...]:
    f, g, end = layer.functions
    at_i, at_o, at_f, at_c = np.split(product + h @ layer.r + layer.rb, 4, axis=-1)
    p_i, p_o, p_f = (0.0, 0.0, 0.0) if layer.p is None else layer.p
    taken = f(at_i + p_i * c)
    kept = 1.0 - taken if coupled else f(at_f + p_f * c)
    c = kept * c + taken * g(at_c)
    return f(at_o + p_o * c) * end(c), c


def _coupled(layer: Layer, product: np.ndarray, h: np.ndarray, c: np.ndarray):
    return _cell(layer, product, h, c, coupled=True)


def quantized_lstm(
    ctx: LoweringContext,
    x,
    w,
    r,
    b=None,
    sequence_lens=None,
    initial_h=None,
    initial_c=None,
    p=None,
    *,
    input_forget,
    output_sequence=0,
    layout=0,
    **attributes,
):
    clear(ctx, W=w, R=r, B=b, P=p)
    parts = layers(w, r, b, p, gates=4, default=_GATES, **attributes)
    return unroll(
        ctx,
        x,
        sequence_lens,
        (initial_h, initial_c),
        parts,
        partial(_prepare, coupled=bool(input_forget)),
        partial(_cell, coupled=bool(input_forget)),
        layout=layout,
    )


def _prepare(ctx: LoweringContext, layer: Layer, ranges, *, coupled: bool):
    f, g, end = layer.functions
    levels = 2 ** (ctx.bits.activation_bits or 4)
    # With a gate of 2^n levels, such a cell makes a sum of n + 2 bits: what accumulators keep.
    wide = 3 * levels

    def output(x, h, c):
        parts = [(x, layer.gate(layer.w, 1)), (h, layer.gate(layer.r, 1)), (c, np.diag(layer.p[1]))]
        return linear(ctx, parts, layer.gate(layer.wb + layer.rb, 1))

    def cell(x, h, c):
        parts = [(x, layer.w), (h, layer.r)]
        if layer.p is not None:
            nothing = np.zeros_like(layer.r[:, : layer.hidden])
            holes = [np.diag(layer.p[0]), nothing, np.diag(layer.p[2]), nothing]
            parts.append((c, np.concatenate(holes, axis=1)))
        at = linear(ctx, parts, layer.wb + layer.rb)
        taken = gate(ctx, f, columns(ctx, at, layer, 0))
        new = applied(ctx, g, columns(ctx, at, layer, 3))
        if coupled:
            kept = applied(ctx, lambda v: 1.0 - v, taken)
        else:
            kept = applied(ctx, f, columns(ctx, at, layer, 2))
        c = bilinear(ctx, [(taken, new), (kept, c)], levels=wide, operands=wide)
        at_o = columns(ctx, at, layer, 1) if layer.p is None else output(x, h, c)
        pair = applied(ctx, f, at_o), applied(ctx, end, c)
        h = bilinear(ctx, [pair], levels=2 * levels, operands=levels, span=ranges[0])
        return h, (h, c)

    return cell


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    both = uniform(2, 8, 2), uniform(2, 8, 2), uniform(2, 16)
    states = uniform(2, 3, 2), uniform(2, 3, 2)
    one = (
        np.float32([[[1.2], [-0.9], [0.7], [1.5]]]),
        np.float32([[[-0.8], [0.6], [1.1], [0.9]]]),
        np.float32([[0.1, -0.2, 0.3, 0.4, -0.4, -0.3, 0.2, -0.1]]),
    )
    x = np.float32([[[1.0], [-0.6]], [[-0.8], [0.9]]])
    reverse = np.float32([[[[0.0965184], [-0.0721033]]], [[[-0.0870861], [0.0]]]])
    coupled = np.float32([[[[0.1161252], [-0.0721033]]], [[[0.2168102], [0.1100907]]]])
    clipped = np.float32([[[[0.1356693], [-0.0785395]]], [[[0.0445501], [0.1074346]]]])
    h, c = np.float32([[[0.5]], [[-0.8]]]), np.float32([[[-1.5]], [[1.8]]])
    peepholes = np.float32([[0.5, -0.4, 0.3]])
    quantized = {"n_bits": 3, "tolerance": 0.2}
    return OpPlugin(
        schema=OpSchema("LSTM", since_versions=(1, 7, 14, 22), kind=OpKind.LINEAR),
        numpy_op=lstm,
        quantized_op=quantized_lstm,
        prepare=prepare,
        examples=(
            OpExample(
                (uniform(4, 3, 2), *both, None, *states, uniform(2, 6)),
                {"hidden_size": 2, "direction": "bidirectional"},
                n_outputs=3,
                opset=13,
                encrypted=(),
                name="both directions, initial states, peepholes",
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
                {"hidden_size": 1, "input_forget": 1},
                (coupled,),
                **quantized,
                name="coupled gates",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.9},
                (clipped,),
                **quantized,
                name="clip",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.9, "output_sequence": 1},
                (clipped,),
                opset=6,
                encrypted=(),
                name="first revision",
            ),
            OpExample(
                (x, *one, None, None, None, peepholes),
                {"hidden_size": 1},
                **quantized,
                name="peepholes",
            ),
            OpExample(
                (x.swapaxes(0, 1), *one, None, h, c),
                {"hidden_size": 1, "layout": 1},
                encrypted=(0, 5, 6),
                **quantized,
                name="batch first, encrypted initial states",
            ),
        ),
        restrictions="W, R, B, P and sequence_lens must be clear",
    )
