"""Single operators, each on three sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from graphs import Case, Graph
from networks import CONVOLUTIONAL, DENSE, recurrent

Build = Callable[..., str]
SIZES = ("small", "medium", "large")


def conv(graph: Graph, n: int, channels: int, side: int, maps: int, **settings: object) -> str:
    """A convolution in two dimensions."""
    kernel, group = int(settings.pop("kernel", 3)), int(settings.pop("group", 1))
    fan_in = channels // group * kernel**2
    weight = graph.weight(maps, channels // group, kernel, kernel, fan_in=fan_in)
    x, bias = graph.input(n, channels, side, side), graph.constant(graph.rng.normal(size=maps))
    pads = [kernel // 2] * 4
    return graph.add("Conv", x, weight, bias, pads=pads, group=group, **settings)


def conv_transpose(graph: Graph, n: int, channels: int, side: int, maps: int) -> str:
    """Twice the size, as decoders have it."""
    weight = graph.weight(channels, maps, 4, 4, fan_in=16 * channels)
    x, bias = graph.input(n, channels, side, side), graph.constant(graph.rng.normal(size=maps))
    return graph.add("ConvTranspose", x, weight, bias, pads=[1] * 4, strides=[2, 2])


def matmul(graph: Graph, *shape: int, columns: int) -> str:
    """Times a constant matrix."""
    weight = graph.weight(shape[-1], columns, fan_in=shape[-1])
    return graph.add("MatMul", graph.input(*shape), weight)


def stacks(graph: Graph, *shape: int) -> str:
    """Matrices times matrices, both of them inputs."""
    other = (*shape[:-2], shape[-1], shape[-2])
    return graph.add("MatMul", graph.input(*shape), graph.input(*other))


def gemm(graph: Graph, rows: int, depth: int, columns: int) -> str:
    """With the weight as PyTorch has it, and a bias."""
    weight = graph.weight(columns, depth, fan_in=depth)
    bias = graph.constant(graph.rng.normal(size=columns))
    return graph.add("Gemm", graph.input(rows, depth), weight, bias, transB=1)


def unary(graph: Graph, *shape: int, op_type: str, **attributes: object) -> str:
    """One input, nothing else."""
    return graph.add(op_type, graph.input(*shape), **attributes)


def batch_norm(graph: Graph, *shape: int) -> str:
    """On images."""
    return graph.batch_norm(graph.input(*shape), shape[1])


def layer_norm(graph: Graph, *shape: int) -> str:
    """On the last axis."""
    return graph.layer_norm(graph.input(*shape), shape[-1])


def add_bias(graph: Graph, *shape: int) -> str:
    """A vector along the last axis."""
    bias = graph.constant(graph.rng.normal(size=shape[-1]))
    return graph.add("Add", graph.input(*shape), bias)


def add_same(graph: Graph, *shape: int) -> str:
    """Two tensors of one shape, as a residual connection has it."""
    return graph.add("Add", graph.input(*shape), graph.input(*shape))


def reduce_mean(graph: Graph, *shape: int) -> str:
    """Along the last axis."""
    axes = graph.constant([-1], np.int64)
    return graph.add("ReduceMean", graph.input(*shape), axes)


def gather(graph: Graph, rows: int, width: int, count: int) -> str:
    """Rows of a constant table."""
    table = graph.constant(graph.rng.normal(size=(rows, width)))
    return graph.add("Gather", table, graph.input(count, dtype=np.int64))


def concat(graph: Graph, *shape: int) -> str:
    """Two tensors along the second axis."""
    return graph.add("Concat", graph.input(*shape), graph.input(*shape), axis=1)


def resize(graph: Graph, *shape: int, mode: str) -> str:
    """Twice the size."""
    scales = graph.constant([1, 1, 2, 2])
    return graph.add("Resize", graph.input(*shape), "", scales, mode=mode)


def recurrence(
    graph: Graph, time: int, batch: int, size: int, hidden: int, op_type: str, gates: int
) -> str:
    """A whole sequence."""
    return recurrent(graph, op_type, gates, graph.input(time, batch, size), size, hidden)


def attention(graph: Graph, batch: int, heads: int, length: int, size: int) -> str:
    """Queries, keys and values with heads of their own."""
    shape = batch, heads, length, size
    return graph.add("Attention", *(graph.input(*shape) for _ in range(3)))


IMAGES = ((1, 16, 16, 16), (8, 32, 32, 32), (64, 64, 32, 32))
ROWS = ((1, 64), (64, 512), (64, 128, 256))
_CONV = ((1, 16, 16, 16), (8, 32, 32, 32), (64, 64, 32, 64))
_HEADS = ((1, 2, 16, 16), (4, 4, 64, 32), (16, 8, 128, 64))
_SQUARES = ((1, 8, 8, 8), (8, 32, 16, 16), (16, 64, 32, 32))
_TABLES = ((16, 16, 8), (256, 128, 512), (4096, 256, 8192))
_PLANES = ((1, 16, 16), (64, 32, 128), (64, 256, 256))
_SEQUENCES = ((8, 1, 16, 16), (32, 8, 64, 64), (64, 64, 128, 128))

# Name, builder, what it is built with beside sizes, sizes, target.
KERNELS: tuple[tuple[str, Build, dict[str, object], tuple[tuple[int, ...], ...], float | None], ...]
KERNELS = (
    ("Conv 3x3", conv, {}, _CONV, CONVOLUTIONAL),
    ("Conv 3x3, stride 2", conv, {"strides": [2, 2]}, _CONV, CONVOLUTIONAL),
    ("Conv 1x1", conv, {"kernel": 1}, _CONV, CONVOLUTIONAL),
    (
        "Conv 3x3, depthwise",
        lambda graph, n, channels, side, maps: conv(graph, n, channels, side, maps, group=channels),
        {},
        _CONV,
        CONVOLUTIONAL,
    ),
    ("Conv 3x3, 4 groups", conv, {"group": 4}, _CONV, CONVOLUTIONAL),
    (
        "Conv 7x7, stride 2, 3 channels",
        conv,
        {"kernel": 7, "strides": [2, 2]},
        ((1, 3, 32, 16), (8, 3, 64, 32), (16, 3, 112, 64)),
        CONVOLUTIONAL,
    ),
    (
        "ConvTranspose 4x4, stride 2",
        conv_transpose,
        {},
        ((1, 16, 8, 16), (8, 32, 16, 32), (64, 64, 16, 32)),
        CONVOLUTIONAL,
    ),
    ("Gemm", gemm, {}, ((1, 64, 64), (64, 256, 256), (512, 512, 512)), DENSE),
    (
        "MatMul, constant",
        lambda graph, *shape: matmul(graph, *shape[:-1], columns=shape[-1]),
        {},
        ((1, 64, 64), (16, 32, 128, 512), (64, 64, 256, 256)),
        DENSE,
    ),
    ("MatMul, two inputs", stacks, {}, ((2, 16, 16), (4, 4, 64, 32), (16, 8, 128, 64)), DENSE),
    ("Attention", attention, {}, _HEADS, DENSE),
    ("LSTM", recurrence, {"op_type": "LSTM", "gates": 4}, _SEQUENCES, DENSE),
    ("GRU", recurrence, {"op_type": "GRU", "gates": 3}, _SEQUENCES, DENSE),
    ("RNN", recurrence, {"op_type": "RNN", "gates": 1}, _SEQUENCES, DENSE),
    (
        "MaxPool 2x2",
        unary,
        {"op_type": "MaxPool", "kernel_shape": [2, 2], "strides": [2, 2]},
        IMAGES,
        None,
    ),
    (
        "MaxPool 3x3, stride 2, padded",
        unary,
        {"op_type": "MaxPool", "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
        IMAGES,
        None,
    ),
    (
        "AveragePool 2x2",
        unary,
        {"op_type": "AveragePool", "kernel_shape": [2, 2], "strides": [2, 2]},
        IMAGES,
        None,
    ),
    (
        "AveragePool 3x3, padded",
        unary,
        {"op_type": "AveragePool", "kernel_shape": [3, 3], "pads": [1] * 4},
        IMAGES,
        None,
    ),
    ("GlobalAveragePool", unary, {"op_type": "GlobalAveragePool"}, IMAGES, None),
    ("BatchNormalization", batch_norm, {}, IMAGES, None),
    ("LayerNormalization", layer_norm, {}, ROWS, None),
    ("Softmax", unary, {"op_type": "Softmax"}, ROWS, None),
    ("LogSoftmax", unary, {"op_type": "LogSoftmax"}, ROWS, None),
    ("Relu", unary, {"op_type": "Relu"}, ROWS, None),
    ("Sigmoid", unary, {"op_type": "Sigmoid"}, ROWS, None),
    ("Tanh", unary, {"op_type": "Tanh"}, ROWS, None),
    ("Gelu", unary, {"op_type": "Gelu"}, ROWS, None),
    ("Gelu, tanh", unary, {"op_type": "Gelu", "approximate": "tanh"}, ROWS, None),
    ("Erf", unary, {"op_type": "Erf"}, ROWS, None),
    ("Add, bias", add_bias, {}, ROWS, None),
    ("Add, same shape", add_same, {}, ROWS, None),
    ("ReduceMean", reduce_mean, {}, ROWS, None),
    ("Transpose", unary, {"op_type": "Transpose", "perm": [0, 2, 1]}, _PLANES, None),
    ("Gather", gather, {}, _TABLES, None),
    ("Concat", concat, {}, IMAGES, None),
    ("Resize, nearest", resize, {"mode": "nearest"}, _SQUARES, None),
    ("Resize, linear", resize, {"mode": "linear"}, _SQUARES, None),
)


def cases() -> Iterator[tuple[str, str, Case]]:
    """Name, size and model of every case."""
    for name, build, settings, sizes, target in KERNELS:
        for size, shape in zip(SIZES, sizes, strict=False):
            graph = Graph()
            yield name, size, graph.case(name, build(graph, *shape, **settings), target)
