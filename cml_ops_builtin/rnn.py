"""RNN: a recurrent layer, h = f(x W' + h R' + b) at each step.

Under encryption the loop is unrolled. A step takes one lookup for each hidden unit, its
activation; the client computes that of results that are only decrypted.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    lookup,
)
from cml_ops_builtin._shared.recurrence import Layer, layers
from cml_ops_builtin._shared.stepping import Stepping, at_binding, is_usual, runner, stepping
from cml_ops_builtin._shared.unrolling import applied, clear, grid_over, linear, unroll


def rnn(x, w, r, b=None, sequence_lens=None, initial_h=None, **attributes):
    return _runner(w, r, b, **attributes)(x, sequence_lens, initial_h)


def prepare(x, w, r, b=None, sequence_lens=None, initial_h=None, **attributes):
    """Lay out the weights."""
    run = at_binding(_runner, w, r, b, **attributes)
    return run and (lambda x, w, r, b=None, lens=None, h=None: run(x, lens, h))


def _runner(w, r, b, *, output_sequence=0, layout=0, **attributes):
    parts = layers(w, r, b, gates=1, default=("Tanh",), **attributes)
    if not is_usual(("Tanh",), attributes["activations"], attributes["clip"]):
        return runner(parts, _cell, layout=layout)
    lay_out = partial(stepping, order=(0,), halved=0)
    return runner(parts, _cell, layout=layout, loop=_loop, lay_out=lay_out)


def _loop(way: Stepping, inputs: np.ndarray, hidden: np.ndarray, h: np.ndarray):
    """Step through a sequence."""
    at = np.empty((1, *h.shape), dtype=h.dtype)
    compute = way.gates(0, 1, at)
    for given, out in zip(inputs, hidden, strict=True):
        compute(h, given)
        np.tanh(at[0], out)
        h = out


def _cell(layer: Layer, product: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    return (layer.functions[0](product + h @ layer.r + layer.rb),)


def quantized_rnn(
    ctx: LoweringContext,
    x,
    w,
    r,
    b=None,
    sequence_lens=None,
    initial_h=None,
    *,
    output_sequence=0,
    layout=0,
    **attributes,
):
    clear(ctx, W=w, R=r, B=b)
    parts = layers(w, r, b, gates=1, default=("Tanh",), **attributes)
    return unroll(ctx, x, sequence_lens, (initial_h,), parts, _prepare, _cell, layout=layout)


def _prepare(ctx: LoweringContext, layer: Layer, ranges):
    grid = grid_over(*ranges[0], 2 ** (ctx.bits.activation_bits or 4))
    # The client reads the state off the accumulators; a server's next node needs it on a grid.
    name = ctx.bound.node.outputs[0]
    plain = ctx.config.tail == "client" and not (name and ctx.readers.get(name))

    def cell(x, h):
        at = linear(ctx, [(x, layer.w), (h, layer.r)], layer.wb + layer.rb)
        new = applied(ctx, layer.functions[0], at)
        state = lookup(ctx, new, grid) if isinstance(new, EncryptedTensor) else new
        return new if plain else state, (state,)

    return cell


@hookimpl
def cml_op():
    rng = np.random.default_rng(1)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    def weights(directions=1):
        return uniform(directions, 2, 3), uniform(directions, 2, 2), uniform(directions, 4)

    x = np.float32([[[1.0], [-0.6]], [[-0.8], [0.9]], [[0.5], [0.2]]])
    one = np.float32([[[1.2]]]), np.float32([[[-0.8]]]), np.float32([[0.1, -0.1]])
    reverse = np.float32([[[[1.2], [0.0]]], [[[0.0], [1.08]]], [[[0.6], [0.0]]]])
    clipped = [[0.4621172, -0.4621172], [-0.4621172, 0.4621172], [0.4621172, -0.1289714]]
    two = {"hidden_size": 2}
    return OpPlugin(
        schema=OpSchema("RNN", since_versions=(1, 7, 14, 22), kind=OpKind.LINEAR),
        numpy_op=rnn,
        quantized_op=quantized_rnn,
        prepare=prepare,
        examples=(
            OpExample(
                (uniform(4, 3, 3), *weights(2), None, uniform(2, 3, 2)),
                {**two, "direction": "bidirectional"},
                n_outputs=2,
                opset=13,
                encrypted=(),
                name="both directions, initial states",
            ),
            OpExample(
                (x, *one, np.int32([3, 2])),
                {"hidden_size": 1, "direction": "reverse", "activations": ["Relu"]},
                (reverse, reverse[0]),
                n_outputs=2,
                n_bits=3,
                tolerance=0.2,
                name="reverse, lengths, Relu",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.5},
                (np.float32(clipped).reshape(3, 1, 2, 1),),
                n_bits=3,
                tolerance=0.2,
                name="clip",
            ),
            OpExample(
                (x, *one),
                {"hidden_size": 1, "clip": 0.5, "output_sequence": 1},
                (np.float32(clipped).reshape(3, 1, 2, 1),),
                opset=6,
                n_bits=3,
                tolerance=0.2,
                name="first revision",
            ),
            OpExample(
                (uniform(2, 2, 3), *weights(), None, uniform(2, 1, 2)),
                {**two, "layout": 1},
                encrypted=(0, 5),
                n_bits=3,
                tolerance=0.2,
                name="batch first, encrypted initial state",
            ),
        ),
        restrictions="W, R, B and sequence_lens must be clear",
    )
