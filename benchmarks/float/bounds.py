"""How near to onnxruntime NumPy can come at all: the calls that no implementation leaves out.

    python benchmarks/float/bounds.py [--seconds 2]

Where `run.py` misses a target, this prints what is left of it. For operators: NumPy's matrix
products alone, and those with the exponentials or hyperbolic tangents that follow, into arrays
that stand ready, beside all of onnxruntime; nothing is normalized, scaled, added or copied. For
convolutional networks: a twentieth of what onnx.reference takes, beside the time of as many
multiplications in a product of two matrices of 512 x 512, the fastest that BLAS multiplies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

import numpy as np
import onnx
from graphs import Case
from kernels import cases
from measuring import Action, measure_reference, medians, one_thread, product_seconds, session
from networks import CONVOLUTIONAL, FASTER, NETWORKS
from report import table
from run import BATCHES, name_core_type

import cml_core as cml

OPERATORS = ("Attention", "LSTM", "GRU")


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> Callable[[bool], object]:
    """Both products of Attention, and the exponentials between them."""
    scores = q @ k.swapaxes(2, 3) / 16
    powers, y = scores.copy(), np.empty_like(v)

    def run(activates: bool) -> None:
        np.matmul(q, k.swapaxes(2, 3), scores)
        if activates:
            np.exp(scores, powers)
        np.matmul(powers, v, y)

    return run


def recurrent(x: np.ndarray, w: np.ndarray, r: np.ndarray) -> Callable[[bool], object]:
    """A step's product of input, hidden state and weights of all gates; tanh of gates and state."""
    size = r.shape[2]
    weights = np.ascontiguousarray(np.concatenate([r[0], w[0]], axis=1).T) / 16
    rows = np.concatenate([np.zeros((*x.shape[:2], size), x.dtype), x], axis=2)
    gates = rows[0] @ weights
    state = gates[:, :size].copy()
    end = np.empty_like(state)

    def run(activates: bool) -> None:
        for row in rows:
            np.matmul(row, weights, gates)
            if activates:
                np.tanh(gates, gates)
                np.tanh(state, end)

    return run


def least(case: Case) -> Callable[[bool], object]:
    """What an operator cannot do without."""
    feeds = list(case.feeds(1).values())
    if len(feeds) == 3:
        return attention(*feeds)
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in case.model.graph.initializer}
    _, w, r, *_ = case.model.graph.node[0].input
    return recurrent(feeds[0], weights[w], weights[r])


def operators(seconds: float) -> list[list[str]]:
    """Rows of the first table."""
    rows = []
    for name, size, case in cases():
        if name not in OPERATORS or size != "medium":
            continue
        feeds, run = case.feeds(1), least(case)
        actions: dict[str, Action] = {
            "cml": partial(cml.NumpyModule.from_onnx(case.model).run, feeds),
            "ort": partial(session(case.model, 1).run, None, feeds),
            "products": partial(run, activates=False),
            "activations": partial(run, activates=True),
        }
        with one_thread():
            found = medians(actions, seconds)
        ratios = [found[key] / found["ort"] for key in ("products", "activations", "cml")]
        rows.append([name, f"{1e3 * found['ort']:.3f}", *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def multiplications(model: onnx.ModelProto) -> int:
    """Multiplications of a network's convolutions and dense layers, for one sample."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
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
            rows.append([case.name, str(batch), *(f"{1e3 * t:.2f}" for t in times)])
    return rows


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each operator")
    chosen = parser.parse_args()
    print(f"BLAS: {name_core_type()['kernels']}; one thread; ort in ms, the others as ratios to it")
    head = ["operator, medium", "ort", "products", "with activations", "cml"]
    print(table(head, operators(chosen.seconds)))
    print("\nms:")
    head = ["network", "batch", f"onnx.reference / {FASTER:.0f}", "products at best", "ort"]
    print(table(head, networks()))


if __name__ == "__main__":
    main()
