"""Builds ONNX graphs in float32, with weights that are random but always the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 23
IR_VERSION = 10


@attrs.frozen(slots=True)
class Case:
    """A model, and inputs to run it on.

    Parameters
    ----------
    name : str
        What the tables call it.
    model : onnx.ModelProto
        The network.
    shapes : mapping of str to tuple
        Shape of each input; `"n"` stands for the batch.
    target : float or None
        Most that it may take of onnxruntime's time on one thread.
    """

    name: str
    model: onnx.ModelProto
    shapes: Mapping[str, tuple[int | str, ...]]
    target: float | None = None

    def feeds(self, batch: int) -> dict[str, np.ndarray]:
        """Standard normal inputs for a batch; integers below 8 where the model takes integers."""
        rng = np.random.default_rng(batch)
        found = {}
        for value in self.model.graph.input:
            shape = [batch if size == "n" else size for size in self.shapes[value.name]]
            is_float = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            array = rng.normal(size=shape) if is_float else rng.integers(0, 8, shape)
            found[value.name] = array.astype(np.float32 if is_float else np.int64)
        return found


class Graph:
    """A graph under construction; `add` returns the name of the new tensor."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.inputs: dict[str, tuple[int | str, ...]] = {}
        self.values: list[onnx.ValueInfoProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def input(self, *shape: int | str, dtype: type = np.float32) -> str:
        """Declare an input; the first size may be `"n"`."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = shape
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.values.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        """Random weights that keep the variance of activations."""
        return self.constant(self.rng.normal(0, np.sqrt(2 / fan_in), shape))

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """Add a node; return its first output's name."""
        name = f"{op_type.lower()}{len(self.nodes)}"
        names = [f"{name}_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=name, **attributes))
        return names[0]

    def case(self, name: str, output: str, target: float | None = None) -> Case:
        """Finish the graph."""
        result = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "graph", self.values, [result], self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Case(name, model, self.inputs, target)

    # Parts of networks.

    def dense(self, x: str, size_in: int, size_out: int) -> str:
        """A dense layer."""
        bias = self.constant(self.rng.normal(0, 0.1, size_out))
        return self.add("Gemm", x, self.weight(size_in, size_out, fan_in=size_in), bias)

    def projection(self, x: str, size_in: int, size_out: int) -> str:
        """A dense layer on the last axis of a tensor of any rank."""
        bias = self.constant(self.rng.normal(0, 0.1, size_out))
        weight = self.weight(size_in, size_out, fan_in=2 * size_in)
        return self.add("Add", self.add("MatMul", x, weight), bias)

    def conv(
        self, x: str, channels: int, maps: int, kernel: int = 3, stride: int = 1, bias: bool = True
    ) -> str:
        """A convolution that keeps the size, but for its stride."""
        fan_in = channels * kernel**2
        inputs = [x, self.weight(maps, channels, kernel, kernel, fan_in=fan_in)]
        if bias:
            inputs.append(self.constant(self.rng.normal(0, 0.1, maps)))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.add("Conv", *inputs, pads=pads, strides=strides, kernel_shape=[kernel] * 2)

    def batch_norm(self, x: str, channels: int) -> str:
        """A batch normalization as training might leave it."""
        rng = self.rng
        parts: Sequence[np.ndarray] = (
            rng.uniform(0.5, 1.0, channels),
            rng.normal(0, 0.1, channels),
            rng.normal(0, 0.1, channels),
            rng.uniform(0.5, 1.5, channels),
        )
        return self.add("BatchNormalization", x, *map(self.constant, parts))

    def layer_norm(self, x: str, size: int) -> str:
        """A normalization of the last axis."""
        parts = self.rng.uniform(0.5, 1.5, size), self.rng.normal(0, 0.1, size)
        return self.add("LayerNormalization", x, *map(self.constant, parts))
