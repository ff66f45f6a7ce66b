"""NumpyModule: an ONNX model that runs in NumPy."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from cml_core.feeds import Intake, bind_arguments, unpack
from cml_core.graph.bind import bind
from cml_core.graph.bound import BoundGraph, evaluate
from cml_core.graph.expand import expand
from cml_core.graph.load import load_graph
from cml_core.graph.model import TensorSpec
from cml_core.graph.types import evaluate_checked
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

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the ONNX model in hexadecimal digits, the values of its constants included."""
        # Node by node: a whole model may be larger than protobuf writes.
        summary = hashlib.sha256(repr(self.onnx_model.opset_import).encode())
        for node in self.onnx_model.graph.node:
            summary.update(node.SerializeToString(deterministic=True))
        for name, value in sorted(self.graph.constants.items()):
            if isinstance(value, np.ndarray) and value.dtype != object:
                summary.update(name.encode() + np.ascontiguousarray(value).tobytes())
        return summary.hexdigest()

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
        feeds = self._take(inputs)
        # Types follow from those of the inputs: they are looked at when these are new.
        rule = evaluate if feeds is inputs else evaluate_checked
        values = {**self.graph.constants, **feeds}
        with np.errstate(all="ignore"):
            results = interpret(self.graph.nodes, values, self._outputs, rule, self._dead)
        if feeds is not inputs:
            self._take.remember(inputs, feeds)
        own: list[Any] = []
        for name, result in results.items():
            results[name] = _independent(result, values.values(), own)
            own.append(results[name])
        return results

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes get the ONNX model, and bind it to their own registry.

        Raises
        ------
        TypeError
            It is bound to another registry than the default one.
        """
        if self._registry not in (None, default_registry()):
            raise TypeError("a NumpyModule of a registry of its own cannot be copied or pickled")
        return NumpyModule.from_onnx, (self.onnx_model.SerializeToString(),)

    def __repr__(self) -> str:
        return f"<NumpyModule {self.graph.graph.source}: {len(self.graph.nodes)} nodes>"


def _independent(result: Any, values: Iterable[Any], others: Sequence[Any]) -> Any:
    """Make a result the caller's own: to write to, and in memory that is of nothing else."""
    if isinstance(result, tuple):
        own: list[Any] = []
        for element in result:
            own.append(_independent(element, values, [*others, *own]))
        return tuple(own)
    if not isinstance(result, np.ndarray):
        return result
    # An array that is no view shares its memory with its own views alone, which are not given.
    is_view = result.base is not None
    for value in values:
        if value is result or ((is_view or type(value) is tuple) and _shares(result, value)):
            return result.copy()
    wanted = is_view and _is_part(result)
    return result.copy() if wanted or any(_shares(result, o) for o in others) else result


def _is_part(view: np.ndarray) -> bool:
    """Whether a view cannot be written to, or keeps much more memory than it shows."""
    size = getattr(view.base, "nbytes", 0)
    return not view.flags.writeable or size > 2 * view.nbytes


def _shares(result: np.ndarray, value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_shares(result, element) for element in value)
    return value is result or (isinstance(value, np.ndarray) and np.may_share_memory(result, value))
