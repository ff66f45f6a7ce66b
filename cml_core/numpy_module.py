"""NumpyModule: an ONNX model that runs in NumPy."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from cml_core.feeds import Intake, bind_arguments, unpack
from cml_core.graph.bind import bind
from cml_core.graph.bound import BoundGraph, evaluate
from cml_core.graph.expand import expand
from cml_core.graph.load import load_graph
from cml_core.graph.model import TensorSpec
from cml_core.interpreter import interpret, last_uses
from cml_core.plugins.importer import import_model
from cml_core.plugins.registry import OpRegistry, default_registry

__all__ = ["NumpyModule"]


class NumpyModule:
    """Float execution of an ONNX graph in NumPy, with no quantization.

    Parameters
    ----------
    graph : BoundGraph
        A graph whose nodes are bound to their plugins; see `from_onnx`.
    registry : OpRegistry, optional
        The operators that it was bound to, by default all that are installed.

    Examples
    --------
    >>> module = NumpyModule.from_onnx("model.onnx")  # doctest: +SKIP
    >>> y = module(x)  # doctest: +SKIP
    """

    def __init__(self, graph: BoundGraph, registry: OpRegistry | None = None) -> None:
        self.graph = graph
        self._registry = registry
        self._outputs = tuple(spec.name for spec in graph.outputs)
        self._dead = last_uses(graph.nodes, self._outputs)
        self._take = Intake(graph.inputs)

    @classmethod
    def from_onnx(
        cls,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        *,
        registry: OpRegistry | None = None,
    ) -> NumpyModule:
        """Load a model and bind its nodes.

        Parameters
        ----------
        model : path, bytes or onnx.ModelProto
            An ONNX file, its content, or the parsed model.
        registry : OpRegistry, optional
            Operators to use, by default all that are installed.

        Raises
        ------
        ModelFileError, InvalidModelError
            The file cannot be read or breaks the rules of ONNX.
        UnsupportedNodesError
            Some nodes have no plugin; all of them are listed.
        """
        registry = default_registry() if registry is None else registry
        return cls(bind(load_graph(model, registry.serves), registry), registry)

    @classmethod
    def from_model(
        cls, model: Any, sample_inputs: Any = None, *, registry: OpRegistry | None = None
    ) -> NumpyModule:
        """Import another library's model through the installed front end that accepts it.

        Parameters
        ----------
        model : object
            Anything that a front end takes; see `from_onnx` for ONNX itself.
        sample_inputs : array or tuple of arrays, optional
            Inputs to trace with, for front ends that need some.
        registry : OpRegistry, optional
            Operators to use, by default all that are installed.

        Raises
        ------
        ModelFileError
            No installed front end accepts the object.
        """
        return cls.from_onnx(import_model(model, sample_inputs), registry=registry)

    @functools.cached_property
    def expanded(self) -> NumpyModule:
        """The same model with operators that have a body written out; what is quantized."""
        model = expand(self.graph)
        if model is None:
            return self
        return NumpyModule.from_onnx(model, registry=self._registry).expanded

    @classmethod
    def from_torch(
        cls, module: Any, sample_inputs: Any, *, registry: OpRegistry | None = None
    ) -> NumpyModule:
        """Export a PyTorch module to ONNX and load it.

        Parameters
        ----------
        module : torch.nn.Module
            A network; it is not changed.
        sample_inputs : array, tensor, tuple of these, or mapping
            One or more samples for each input of the network, positionally or by name.
        registry : OpRegistry, optional
            Operators to use, by default all that are installed.

        Raises
        ------
        ModelFileError
            The object is not a PyTorch module.
        ExporterError
            PyTorch cannot run the module on these samples, or not export it.
        MissingLibraryError
            PyTorch is not installed.
        """
        return cls.from_onnx(
            import_model(module, sample_inputs, importer="torch"), registry=registry
        )

    @property
    def onnx_model(self) -> onnx.ModelProto:
        """The ONNX model that this module interprets."""
        return self.graph.graph.onnx_model

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's inputs."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's outputs."""
        return self.graph.outputs

    def __call__(self, *arrays: Any) -> Any:
        """Run on positional arrays; return one array, or a tuple when there are several outputs.

        Raises
        ------
        InputError
            An input is missing, one too many, or of the wrong shape or dtype.
        NodeError
            An operator failed on the values that reached it.
        """
        return unpack(self.run(bind_arguments(self.inputs, arrays)))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run by name: a mapping of input arrays to a dict of output arrays of their own.

        Raises
        ------
        InputError
            An input is missing, unknown, or of the wrong shape or dtype.
        NodeError
            An operator failed on the values that reached it.
        """
        values = {**self.graph.constants, **self._take(inputs)}
        with np.errstate(all="ignore"):
            results = interpret(self.graph.nodes, values, self._outputs, evaluate, self._dead)
        return {name: _independent(result, values) for name, result in results.items()}

    def __repr__(self) -> str:
        return f"<NumpyModule {self.graph.graph.source}: {len(self.graph.nodes)} nodes>"


def _independent(result: Any, values: Mapping[str, Any]) -> Any:
    """Copy a result that is an input or constant, or a view of one, so that a caller may write."""
    if isinstance(result, tuple):
        return tuple([_independent(element, values) for element in result])
    if not isinstance(result, np.ndarray):
        return result
    # An array that is no view shares its memory with its own views alone, which are not given.
    is_view = result.base is not None
    for value in values.values():
        if value is result or ((is_view or type(value) is tuple) and _shares(result, value)):
            return result.copy()
    return result


def _shares(result: np.ndarray, value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_shares(result, element) for element in value)
    return value is result or (isinstance(value, np.ndarray) and np.may_share_memory(result, value))
