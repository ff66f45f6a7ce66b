"""Recurrent layers: all directions, layouts, states, lengths, peepholes and activations."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import finite
from tests.agreement.values import FLOATS, HALF, optional

#: Activation functions, and whether they have an alpha and a beta.
PLAIN = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")
WITH_ALPHA = ("LeakyRelu", "ThresholdedRelu", "Elu")
WITH_BOTH = ("Affine", "ScaledTanh", "HardSigmoid")
#: Floats that float32 holds, and that no clip or weight is equal to: there, onnxruntime has
#: another threshold than ONNX says.
NUMBERS = st.sampled_from([0.2578125, 0.4453125, 0.703125, 1.0078125])
CLIPS = st.sampled_from([0.25, 0.5, 0.75])


def functions(draw, each, ways):
    """Draw activations, and the numbers of those that have some, in their order."""
    known = st.sampled_from(PLAIN + WITH_ALPHA + WITH_BOTH)
    # Gates are bounded, so that states are not beyond what float32 exponentiates.
    gates = st.sampled_from(["Sigmoid", "Tanh", "Softsign", "HardSigmoid", "ScaledTanh"])
    names = [draw(gates if k % each == 0 and each > 1 else known) for k in range(each * ways)]
    stated = {"activations": names}
    alphas = [draw(NUMBERS) for name in names if name in WITH_ALPHA + WITH_BOTH]
    betas = [draw(NUMBERS) for name in names if name in WITH_BOTH]
    if draw(st.booleans()):
        stated |= {"activation_alpha": alphas} if alphas else {}
        stated |= {"activation_beta": betas} if betas else {}
    return stated


def recurrent(gates, each, *, states=1, peepholes=False, **switches):
    """Draw nodes of a layer with so many gates, and activations for each direction."""

    def draw_node(draw, dtype, revision):
        time, batch, inputs = (draw(st.integers(1, 3)) for _ in range(3))
        hidden = draw(st.integers(1, 3))
        direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
        ways = 2 if direction == "bidirectional" else 1
        attributes = {"hidden_size": hidden}
        if direction != "forward" or draw(st.booleans()):
            attributes["direction"] = direction
        swap = revision >= 14 and draw(st.integers(0, 3)) == 3
        if swap:
            attributes["layout"] = 1
        if draw(st.integers(0, 2)) == 2:
            attributes |= functions(draw, each, ways)
        if draw(st.integers(0, 3)) == 3:
            attributes["clip"] = draw(CLIPS)
        attributes |= optional(draw, **{name: draw(st.integers(0, 1)) for name in switches})

        def weights(*size):
            return finite(draw, dtype, size, low=-2, high=2) / dtype.type(2)

        def maybe(make):
            return make() if draw(st.booleans()) else None

        def state():
            return weights(*((batch, ways) if swap else (ways, batch)), hidden)

        inputs_ = [
            weights(*((batch, time) if swap else (time, batch)), inputs),
            weights(ways, gates * hidden, inputs),
            weights(ways, gates * hidden, hidden),
            maybe(lambda: weights(ways, 2 * gates * hidden)),
            maybe(lambda: finite(draw, np.int32, (batch,), low=0, high=time)),
            *(maybe(state) for _ in range(states)),
        ]
        if peepholes:
            inputs_.append(maybe(lambda: weights(ways, 3 * hidden)))
        while inputs_[-1] is None:
            inputs_.pop()
        constants = draw(st.sampled_from([(), (1, 2, 3), (1, 2)]))
        n_outputs = draw(st.integers(1, 1 + states))
        left_out = (0,) if n_outputs > 1 and draw(st.booleans()) else ()
        return Node(inputs_, attributes, n_outputs, constants, left_out)

    return draw_node


ACTIVATIONS = {
    "Affine": lambda x, a=1.0, b=0.0: a * x + b,
    "Elu": lambda x, a=1.0: np.where(x >= 0, x, a * np.expm1(x)),
    "HardSigmoid": lambda x, a=0.2, b=0.5: np.clip(a * x + b, 0, 1),
    "LeakyRelu": lambda x, a=0.01: np.where(x >= 0, x, a * x),
    "Relu": lambda x: np.maximum(x, 0),
    "ScaledTanh": lambda x, a=1.0, b=1.0: a * np.tanh(b * x),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
    "ThresholdedRelu": lambda x, a=1.0: np.where(x >= a, x, 0),
}
DEFAULTS = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "RNN": ["Tanh"]}


def gru(x, h, w, r, wb, rb, p, stated, f, g):
    z, r_gate = f(x @ w[0] + h @ r[0] + wb[0] + rb[0]), f(x @ w[1] + h @ r[1] + wb[1] + rb[1])
    late = stated.get("linear_before_reset")
    back = r_gate * (h @ r[2] + rb[2]) if late else (r_gate * h) @ r[2] + rb[2]
    return ((1 - z) * g(x @ w[2] + back + wb[2]) + z * h,)


def lstm(x, h, c, w, r, wb, rb, p, stated, f, g, last):
    at = [x @ w[k] + h @ r[k] + wb[k] + rb[k] for k in range(4)]
    i = f(at[0] + p[0] * c)
    forget = 1 - i if stated.get("input_forget") else f(at[2] + p[2] * c)
    c = forget * c + i * g(at[3])
    return f(at[1] + p[1] * c) * last(c), c


def rnn(x, h, w, r, wb, rb, p, stated, f):
    return (f(x @ w[0] + h @ r[0] + wb[0] + rb[0]),)


def written_out(node, case):
    """A recurrent layer by its equations: one sequence, one direction and one step at a time."""
    stated, cell = node.attributes, {"GRU": gru, "LSTM": lstm, "RNN": rnn}[case.op_type]
    inputs = [None if a is None else a.astype(np.float64) for a in node.inputs]
    x, w, r, b, lens, h, c, p = (*inputs, *[None] * (8 - len(inputs)))
    ways, wide, hidden = r.shape
    gates, states = wide // hidden, [h, c] if case.op_type == "LSTM" else [h]
    if stated.get("layout"):
        x, *states = (a if a is None else a.swapaxes(0, 1) for a in (x, *states))
    time, batch, _ = x.shape
    b = np.zeros((ways, 2 * wide)) if b is None else b
    p = np.zeros((ways, 3 * hidden)) if p is None else p
    states = [np.zeros((ways, batch, hidden)) if a is None else a.copy() for a in states]
    y = np.zeros((time, ways, batch, hidden))
    alphas = iter(stated.get("activation_alpha", ()))
    betas = iter(stated.get("activation_beta", ()))
    names = stated.get("activations", DEFAULTS[case.op_type] * ways)
    functions = [activation(name, alphas, betas, stated.get("clip")) for name in names]
    each = len(names) // ways
    for way, number in np.ndindex(ways, batch):
        parts = [a[way].reshape(gates, hidden, -1).swapaxes(1, 2) for a in (w, r)]
        parts += [*b[way].reshape(2, gates, hidden), p[way].reshape(3, hidden), stated]
        parts += functions[way * each : (way + 1) * each]
        own = [state[way, number] for state in states]
        steps = list(range(time if lens is None else int(lens[number])))
        is_reverse = way == 1 or stated.get("direction") == "reverse"
        for step in reversed(steps) if is_reverse else steps:
            own = cell(x[step, number], *own, *parts)
            y[step, way, number] = own[0]
        for state, last in zip(states, own, strict=True):
            # What onnxruntime leaves of a sequence without elements.
            state[way, number] = last if steps else 0
    if stated.get("layout"):
        y, states = y.transpose(2, 0, 1, 3), [state.swapaxes(0, 1) for state in states]
    results = [y, *states][: node.n_outputs]
    return [a.astype(case.dtype) for k, a in enumerate(results) if k not in node.left_out]


def activation(name, alphas, betas, clip):
    stated = [alphas] * (name in WITH_ALPHA + WITH_BOTH) + [betas] * (name in WITH_BOTH)
    numbers = [n for n in (next(values, None) for values in stated) if n is not None]

    def function(x):
        return ACTIVATIONS[name](x if clip is None else np.clip(x, -clip, clip), *numbers)

    return function


def leaves_to_defaults(node, case):
    stated = node.attributes
    names = set(stated.get("activations", ()))
    lacks_alpha = names & {*WITH_ALPHA, *WITH_BOTH} and "activation_alpha" not in stated
    return lacks_alpha or (names & {*WITH_BOTH} and "activation_beta" not in stated)


def clips_cell(node, case):
    return case.op_type == "LSTM" and "clip" in node.attributes


FAULTS = (
    Fault("onnxruntime", "has no float64", says="does not support double"),
    Fault("onnxruntime", "has zeros for defaults", when=leaves_to_defaults),
    Fault("onnxruntime", "does not clip before the activation of the cell", when=clips_cell),
    Fault("reference", "leaves out lengths, clip, activations and more"),
)


def layer(draw_node):
    return Operator(draw_node, FLOATS + HALF, faults=FAULTS, by_hand=written_out)


OPERATORS = {
    "GRU": layer(recurrent(3, 2, linear_before_reset=True)),
    "LSTM": layer(recurrent(4, 3, states=2, peepholes=True, input_forget=True)),
    "RNN": layer(recurrent(1, 1)),
}


@agreement(OPERATORS)
def test_recurrence(case):
    case.check()
