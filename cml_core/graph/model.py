"""Graph: an ONNX model as an immutable value, its nodes in topological order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import onnx

__all__ = ["Dimension", "Graph", "Node", "TensorSpec"]

#: A fixed size, the name of a symbolic one, or None where the model says nothing.
Dimension = int | str | None


@attrs.frozen(slots=True)
class TensorSpec:
    """Name, dtype and shape of a model's input or output, as the model declares them.

    Parameters
    ----------
    name : str
        Tensor name.
    dtype : numpy.dtype or None
        Element type, None if undeclared.
    shape : tuple of Dimension or None
        Dimensions, None if the rank is undeclared.
    wraps : tuple of str
        What tensors come in, the outermost first: `"sequence"` or `"optional"`; empty for a tensor
        itself.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[Dimension, ...] | None
    wraps: tuple[str, ...] = ()

    @property
    def has_batch_axis(self) -> bool:
        """Whether the first dimension is left open, so that it counts samples."""
        return bool(self.shape) and not isinstance(self.shape[0], int)  # type: ignore[index]

    @property
    def kind(self) -> str:
        """What a value of it is, such as `float32` or `optional sequence of float32`."""
        dtype = "any dtype" if self.dtype is None else str(self.dtype)
        return f"{' '.join(self.wraps)} of {dtype}" if self.wraps else dtype

    def describe(self) -> str:
        """The declared shape in words, such as `(batch, 64)`."""
        if self.shape is None:
            return "any shape"
        sizes = ["?" if size is None else str(size) for size in self.shape]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


@attrs.frozen(slots=True, eq=False)
class Node:
    """One use of an operator.

    Parameters
    ----------
    name : str
        Unique in the graph; made up from operator and position where the model gives none.
    domain, op_type : str
        The operator.
    opset : int
        Version of its domain that the model imports.
    inputs, outputs : tuple of str
        Tensor names, `""` for omitted ones. After the inputs that the node states come those that
        its subgraphs take from the graph around it.
    attributes : mapping
        The attributes that the model states, decoded to Python and NumPy values.
    subgraphs : mapping of str to Graph
        Attributes that are graphs.
    captures : int
        How many of the inputs the subgraphs take from outside.
    """

    name: str
    domain: str
    op_type: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    subgraphs: Mapping[str, Graph] = attrs.field(factory=dict)
    captures: int = 0

    @property
    def stated_inputs(self) -> tuple[str, ...]:
        """The inputs without those that subgraphs take from outside."""
        return self.inputs[: len(self.inputs) - self.captures]


@attrs.frozen(slots=True, eq=False, repr=False)
class Graph:
    """A model, or a graph within one, read once and never changed.

    Parameters
    ----------
    source : str
        Where it came from, for messages.
    inputs, outputs : tuple of TensorSpec
        The model's interface; initializers are not inputs, even when the file lists them so.
    nodes : tuple of Node
        In topological order.
    initializers : mapping of str to array
        The model's constants (read-only arrays).
    onnx_model : onnx.ModelProto
        What it was read from: the model as given, unless it had to be converted to an opset that
        cml reads, or functions had to be written out.
    """

    source: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[Node, ...]
    initializers: Mapping[str, np.ndarray]
    onnx_model: onnx.ModelProto
