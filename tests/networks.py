"""Small networks as ONNX models, with random but fixed weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """Builds an ONNX graph node by node; `add` returns the name of the new tensor."""

    def __init__(self, shape: Sequence[int | str], *, seed: int = 0, opset: int = OPSET) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.opset = shape, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, *shape: int, scale: float | None = None) -> str:
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.constant(self.rng.normal(0, scale or 1 / np.sqrt(fan_in), shape))

    def add(self, op_type: str, *inputs: str, **attributes) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [name + "_out"], name=name, **attributes)
        )
        return name + "_out"

    def dense(self, x: str, size_in: int, size_out: int) -> str:
        bias = self.constant(self.rng.normal(0, 0.2, size_out))
        return self.add("Gemm", x, self.normal(size_in, size_out), bias)

    def batch_norm(self, x: str, channels: int) -> str:
        rng = self.rng
        parts = [
            rng.uniform(0.5, 1.5, channels),
            rng.normal(0, 0.2, channels),
            rng.normal(0, 0.2, channels),
            rng.uniform(0.5, 1.5, channels),
        ]
        return self.add("BatchNormalization", x, *map(self.constant, parts))

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(self.shape))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def mlp(sizes: Sequence[int], activation: str = "Relu", *, seed: int = 0) -> onnx.ModelProto:
    """Dense layers with an activation between them."""
    net = Net(["batch", sizes[0]], seed=seed)
    x = "x"
    for place, (size_in, size_out) in enumerate(pairwise(sizes)):
        x = net.dense(x, size_in, size_out)
        if place < len(sizes) - 2:
            x = net.add(activation, x)
    return net.model(x)


def residual_cnn(side: int = 6, channels: int = 4) -> onnx.ModelProto:
    """Two convolution blocks with a skip connection, batch norms, average pool, linear head."""
    net = Net(["batch", 1, side, side], seed=3)
    x = net.add("Conv", "x", net.normal(channels, 1, 3, 3), pads=[1, 1, 1, 1])
    stem = net.add("Relu", net.batch_norm(x, channels))
    y = net.add("Conv", stem, net.normal(channels, channels, 3, 3), pads=[1, 1, 1, 1])
    y = net.add("Relu", net.batch_norm(y, channels))
    y = net.add("Conv", y, net.normal(channels, channels, 3, 3), pads=[1, 1, 1, 1])
    y = net.add("Relu", net.add("Add", net.batch_norm(y, channels), stem))
    y = net.add("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.add("Flatten", y)
    return net.model(net.dense(y, channels * (side // 2) ** 2, 3))


def samples(shape: Sequence[int], count: int = 64, *, seed: int = 1) -> np.ndarray:
    """Random inputs for a network."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
