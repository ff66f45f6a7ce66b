"""The networks that are timed: dense, convolutional, a transformer encoder, recurrent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from graphs import Case, Graph

# Most that a network may take of onnxruntime's time on one thread, at a batch of 64.
DENSE, CONVOLUTIONAL = 1.5, 3.0
# The same at a batch of one, where the interpreter counts.
SINGLE = 5.0
# How many times faster than onnx.reference a convolutional network must be.
FASTER = 20.0


def small() -> Case:
    """Three dense layers, so small that products take less than what is around them."""
    return _mlp("small dense network", (64, 32, 32, 10), SINGLE)


def deep() -> Case:
    """Twenty dense layers."""
    return _mlp("20-layer dense network", (128, *[256] * 19, 10))


def _mlp(name: str, sizes: tuple[int, ...], target: float = DENSE) -> Case:
    graph = Graph()
    x = graph.input("n", sizes[0])
    for place in range(len(sizes) - 1):
        x = graph.dense(x, sizes[place], sizes[place + 1])
        if place < len(sizes) - 2:
            x = graph.add("Relu", x)
    return graph.case(name, x, target)


def vgg() -> Case:
    """Six convolutions and two dense layers on images of 32 x 32, as VGG (2014) has them."""
    graph = Graph()
    x, channels = graph.input("n", 3, 32, 32), 3
    for maps in (32, 64, 128):
        for _ in range(2):
            x, channels = graph.add("Relu", graph.conv(x, channels, maps)), maps
        x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.dense(graph.add("Flatten", x), 128 * 4 * 4, 256)
    return graph.case("VGG-like", graph.dense(graph.add("Relu", x), 256, 10), CONVOLUTIONAL)


def resnet() -> Case:
    """ResNet-20 of He et al. (2015) for images of 32 x 32, with its batch normalizations."""
    graph = Graph()
    x = graph.batch_norm(graph.conv(graph.input("n", 3, 32, 32), 3, 16, bias=False), 16)
    x, channels = graph.add("Relu", x), 16
    for maps in (16, 32, 64):
        for _ in range(3):
            stride = 2 if maps != channels else 1
            y = graph.batch_norm(graph.conv(x, channels, maps, 3, stride, bias=False), maps)
            y = graph.conv(graph.add("Relu", y), maps, maps, bias=False)
            y = graph.batch_norm(y, maps)
            if stride != 1:
                x = graph.batch_norm(graph.conv(x, channels, maps, 1, stride, bias=False), maps)
            x, channels = graph.add("Relu", graph.add("Add", y, x)), maps
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    return graph.case("ResNet-20", graph.dense(x, 64, 10), CONVOLUTIONAL)


def encoder(layers: int = 2, size: int = 128, heads: int = 4, length: int = 32) -> Case:
    """Transformer encoder layers as exporters write them out, normalization last."""
    graph = Graph()
    x = graph.input("n", length, size)
    split = graph.constant([0, 0, heads, size // heads], np.int64)
    whole = graph.constant([0, 0, size], np.int64)
    root = graph.constant(np.sqrt(size // heads))
    for _ in range(layers):
        q, k, v = (
            graph.add("Transpose", graph.add("Reshape", part, split), perm=perm)
            for part, perm in zip(
                [graph.projection(x, size, size) for _ in range(3)],
                ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]),
                strict=True,
            )
        )
        scores = graph.add("Div", graph.add("MatMul", q, k), root)
        y = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v)
        y = graph.add("Reshape", graph.add("Transpose", y, perm=[0, 2, 1, 3]), whole)
        x = graph.layer_norm(graph.add("Add", x, graph.projection(y, size, size)), size)
        y = graph.add("Gelu", graph.projection(x, size, 4 * size))
        x = graph.layer_norm(graph.add("Add", x, graph.projection(y, 4 * size, size)), size)
    return graph.case("transformer encoder", x, DENSE)


def lstm(time: int = 32, size: int = 32, hidden: int = 64) -> Case:
    """Two LSTM layers and a dense one on the last output."""
    graph = Graph()
    x = graph.add("Transpose", graph.input("n", time, size), perm=[1, 0, 2])
    for _ in range(2):
        x = recurrent(graph, "LSTM", 4, x, size, hidden)
        x, size = graph.add("Squeeze", x, graph.constant([1], np.int64)), hidden
    x = graph.add("Gather", x, graph.constant(-1, np.int64), axis=0)
    return graph.case("LSTM", graph.dense(x, hidden, 10), DENSE)


def recurrent(graph: Graph, op_type: str, gates: int, x: str, size: int, hidden: int) -> str:
    """A recurrent layer."""
    weights = (
        graph.weight(1, gates * hidden, size, fan_in=4 * size),
        graph.weight(1, gates * hidden, hidden, fan_in=4 * hidden),
        graph.constant(graph.rng.normal(0, 0.1, (1, 2 * gates * hidden))),
    )
    return graph.add(op_type, x, *weights, hidden_size=hidden)


def chain(op_type: str, count: int = 200) -> Case:
    """A chain of nodes that have next to nothing to do."""
    graph = Graph()
    x = graph.input("n")
    for _ in range(count):
        x = graph.add(op_type, x)
    return graph.case(f"{count} x {op_type}", x)


NETWORKS: tuple[Callable[[], Case], ...] = (small, deep, vgg, resnet, encoder, lstm)
