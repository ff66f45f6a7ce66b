"""How near to onnxruntime NumPy can come at all: the calls that no implementation leaves out.

    python benchmarks/float/bounds.py [--seconds 2]

Where `run.py` misses a target, this prints what is left of it. For operators: NumPy's matrix
products alone, those with the exponentials or hyperbolic tangents that follow, and all calls in a
row that the formula asks for, beside all of onnxruntime; all into arrays that stand ready, with
nothing checked, laid out or returned. *bare* is the same of Attention as an operator of
`NumpyModule`: a function that makes its arrays, and looks at nothing. For
convolutional networks: a twentieth of what onnx.reference takes, beside the time of as many
multiplications in a product of two matrices of 512 x 512, the fastest that BLAS multiplies; for one
sample also the time of the products that its convolutions are, in the best of several divisions,
and of copying their windows.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

import attrs
import numpy as np
import onnx
from graphs import Case
from kernels import cases
from measuring import Action, measure_reference, medians, one_thread, product_seconds, session
from networks import CONVOLUTIONAL, FASTER, NETWORKS
from report import table
from run import BATCHES, name_core_type

import cml_core as cml

Calls = list[Callable[[], object]]

OPERATORS = ("Attention", "LSTM", "GRU")


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> list[Calls]:
    """Products; exponentials; a scale, the sums of rows, and a division by them."""
    heads, scale = k.swapaxes(2, 3), np.float32(1 / np.sqrt(q.shape[3]))
    part, scores, y = q * scale, q @ heads, np.empty_like(v)
    total = scores.sum(axis=3)
    first, second = partial(np.matmul, part, heads, scores), partial(np.matmul, scores, v, y)
    power = partial(np.exp, scores, scores)
    rest = [
        partial(np.einsum, "bhij->bhi", scores, out=total),
        second,
        partial(np.divide, y, total[..., np.newaxis], y),
    ]
    return [
        [first, second],
        [first, power, second],
        [partial(np.multiply, q, scale, part), first, power, *rest],
    ]


def bare_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, *_: object, **__: object):
    """Attention as a function of its inputs that looks at nothing: only these calls, once each."""
    part = q * np.float32(1 / math.sqrt(q.shape[3]))
    scores = np.matmul(part, k.swapaxes(2, 3))
    np.exp(scores, scores)
    y = np.matmul(scores, v)
    np.divide(y, np.einsum("bhij->bhi", scores)[..., np.newaxis], y)
    return (y,)


def in_the_interpreter(model: onnx.ModelProto) -> cml.NumpyModule:
    """A module that computes Attention so."""
    plugin = cml.default_registry().find("Attention")[-1].plugin
    bare = attrs.evolve(plugin, numpy_op=bare_attention, prepare=None)
    return cml.NumpyModule.from_onnx(model, registry=cml.default_registry().with_plugins(bare))


class Recurrent:
    """Steps of a recurrent layer; each is one product of input, hidden state and weights."""

    def __init__(self, x: np.ndarray, w: np.ndarray, r: np.ndarray) -> None:
        size, batch = r.shape[2], x.shape[1]
        gates = r.shape[1] // size
        rows = np.concatenate([np.zeros((*x.shape[:2], size), x.dtype), x], axis=2)
        weights = np.concatenate([r[0], w[0]], axis=1).reshape(gates, size, -1).swapaxes(1, 2) / 16
        self.rows, self.states = rows, rows[..., :size]
        self.weights = np.ascontiguousarray(weights)
        self.room = np.zeros((gates + 1, batch, size), x.dtype)
        self.state = np.zeros((batch, size), x.dtype)
        self.one = np.ones((), x.dtype)

    def lstm(self) -> list[Calls]:
        """Products; tanh of gates and state; the gates' sums and products, and a copy of h."""
        at, state = self.room[:4], self.state
        taken, kept, shown, _, cell = self.room
        ended, inner = np.empty_like(state), self.room[3:]
        calls: list[Calls] = [[], [], []]
        for row, own in zip(self.rows, self.states, strict=True):
            product = partial(np.matmul, row, self.weights, at)
            squash, end = partial(np.tanh, at, at), partial(np.tanh, cell, ended)
            calls[0] += [product]
            calls[1] += [product, squash, end]
            calls[2] += [
                partial(np.copyto, own, state),
                product,
                squash,
                partial(np.add, self.room[:3], self.one, self.room[:3]),
                partial(np.multiply, self.room[:2], inner, self.room[:2]),
                partial(np.add, taken, kept, cell),
                end,
                partial(np.multiply, shown, ended, state),
            ]
        return calls

    def gru(self) -> list[Calls]:
        """Products; tanh of gates and state; the gates' sums and products, and copies of h."""
        gates, new, state = self.room[:2], self.room[2:3], self.state
        reset, update, at, rest = self.room
        calls: list[Calls] = [[], [], []]
        for row, own in zip(self.rows, self.states, strict=True):
            first = partial(np.matmul, row, self.weights[:2], gates)
            second = partial(np.matmul, row, self.weights[2:], new)
            squash, end = partial(np.tanh, gates, gates), partial(np.tanh, at, at)
            calls[0] += [first, second]
            calls[1] += [first, squash, second, end]
            calls[2] += [
                partial(np.copyto, own, state),
                first,
                squash,
                partial(np.add, gates, self.one, gates),
                partial(np.multiply, reset, state, rest),
                partial(np.copyto, own, rest),
                second,
                end,
                partial(np.subtract, state, at, rest),
                partial(np.multiply, rest, update, rest),
                partial(np.add, at, rest, state),
            ]
        return calls


def least(name: str, case: Case) -> list[Calls]:
    """What an operator cannot do without."""
    feeds = list(case.feeds(1).values())
    if name == "Attention":
        return attention(*feeds)
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in case.model.graph.initializer}
    _, w, r, *_ = case.model.graph.node[0].input
    layer = Recurrent(feeds[0], weights[w], weights[r])
    return layer.lstm() if name == "LSTM" else layer.gru()


def in_a_row(calls: Calls) -> None:
    """Make calls one after the other."""
    for call in calls:
        call()


def operators(seconds: float) -> list[list[str]]:
    """Rows of the first table."""
    rows = []
    for name, size, case in cases():
        if name not in OPERATORS or size != "medium":
            continue
        feeds, (products, activations, whole) = case.feeds(1), least(name, case)
        actions: dict[str, Action] = {
            "products": partial(in_a_row, products),
            "activations": partial(in_a_row, activations),
            "whole": partial(in_a_row, whole),
        }
        if name == "Attention":
            actions["bare"] = partial(in_the_interpreter(case.model).run, feeds)
        actions["cml"] = partial(cml.NumpyModule.from_onnx(case.model).run, feeds)
        ort, ratios = partial(session(case.model, 1).run, None, feeds), {}
        for key, action in actions.items():
            # In turns with nothing else, so that each finds the caches as the other left them.
            with one_thread(), np.errstate(all="ignore"):
                pair = medians({key: action, "ort": ort}, seconds)
            ratios[key] = f"{pair[key] / pair['ort']:.2f}"
        columns = ("products", "activations", "whole", "bare", "cml")
        cells = [ratios.get(key, "") for key in columns]
        rows.append([name, f"{1e3 * pair['ort']:.3f}", *cells])
    return rows


def multiplications(model: onnx.ModelProto) -> int:
    """Multiplications of a network's convolutions and dense layers, for one sample."""
    graph = shaped(model)
    weights = {c.name: tuple(c.dims) for c in graph.initializer}
    places = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += np.prod(places[node.output[0]]) * np.prod(weights[node.input[1]][1:])
        elif node.op_type == "Gemm":
            total += np.prod(weights[node.input[1]])
    return int(total)


def windows_and_products(model: onnx.ModelProto) -> float:
    """Seconds of a network's convolutions of one sample: windows copied, and multiplied."""
    weights = {c.name: tuple(c.dims) for c in model.graph.initializer}
    shapes = {
        (*weights[node.input[1]], node.output[0]): node
        for node in model.graph.node
        if node.op_type == "Conv"
    }
    sides = {value.name: value for value in shaped(model).value_info}
    total, known = 0.0, {}
    for maps, channels, kernel, _, output in shapes:
        side = sides[output].type.tensor_type.shape.dim[2].dim_value
        key = maps, channels, kernel, side
        if key not in known:
            known[key] = one_convolution(*key)
        total += known[key]
    return total


def one_convolution(maps: int, channels: int, kernel: int, side: int) -> float:
    """Seconds of one convolution: its rows copied in the quicker layout, its product in pieces."""
    rng = np.random.default_rng(0)
    size = side + kernel - 1
    image = rng.normal(size=(size, size, channels)).astype(np.float32)
    rows = np.lib.stride_tricks.sliding_window_view(image, (kernel, kernel), (0, 1))
    rows = rows.transpose(0, 1, 3, 4, 2)
    columns = np.ascontiguousarray(rows)
    matrix = columns.reshape(side * side, -1)
    weight = rng.normal(size=(matrix.shape[1], maps)).astype(np.float32)
    actions: dict[str, Action] = {"copy": partial(np.copyto, columns, rows)}
    for pieces in (1, 2, 4, 8, 16):
        if side * side % pieces == 0:
            parts = matrix.reshape(pieces, -1, matrix.shape[1])
            actions[str(pieces)] = partial(np.matmul, parts, weight, parts @ weight)
    with one_thread():
        found = medians(actions, 0.2)
    return found.pop("copy") * (kernel > 1) + min(found.values())


def shaped(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph with the shapes that tensors have for one sample."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return onnx.shape_inference.infer_shapes(model, strict_mode=True).graph


def networks() -> list[list[str]]:
    """Rows of the second table."""
    size, rows = 512, []
    for case in (build() for build in NETWORKS):
        if case.target != CONVOLUTIONAL:
            continue
        for batch in BATCHES:
            wanted = measure_reference(case, batch) / FASTER
            count = batch * multiplications(case.model)
            with one_thread():
                ort = medians(
                    {"ort": partial(session(case.model, 1).run, None, case.feeds(batch))}, 1
                )
            times = wanted, product_seconds(size) * count / size**3, ort["ort"]
            here = f"{1e3 * windows_and_products(case.model):.2f}" if batch == 1 else ""
            rows.append([case.name, str(batch), *(f"{1e3 * t:.2f}" for t in times), here])
    return rows


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each operator")
    chosen = parser.parse_args()
    print(f"BLAS: {name_core_type()['kernels']}; one thread; ort in ms, the others as ratios to it")
    head = ["operator, medium", "ort", "products", "with activations", "all calls", "bare", "cml"]
    print(table(head, operators(chosen.seconds)))
    print("\nms:")
    head = [
        "network",
        "batch",
        f"onnx.reference / {FASTER:.0f}",
        "products at best",
        "ort",
        "as they are",
    ]
    print(table(head, networks()))


if __name__ == "__main__":
    main()
