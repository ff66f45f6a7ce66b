"""cml as a backend of the `onnx` package, so that whatever tests or drives backends can use it.

import cml_core.onnx_backend as backend
from onnx.backend.test import BackendTest

globals().update(BackendTest(backend.NumpyBackend, __name__).test_cases)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

from cml_core.numpy_module import NumpyModule

__all__ = ["NumpyBackend", "NumpyBackendRep", "prepare", "run_model", "supports_device"]


class NumpyBackendRep(BackendRep):
    """A prepared model.

    Parameters
    ----------
    module : NumpyModule
        The model.
    """

    def __init__(self, module: NumpyModule) -> None:
        self.module = module

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model on its inputs, positionally; see `NumpyModule.run` for errors.

        Parameters
        ----------
        inputs : sequence of array
            Fewer than the model has are taken for its first ones.
        """
        names = [spec.name for spec in self.module.inputs]
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        return tuple(self.module.run(dict(zip(names, given, strict=False))).values())


class NumpyBackend(Backend):
    """`NumpyModule` behind the interface that the `onnx` package defines for backends."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> NumpyBackendRep:
        """Load a model and bind its nodes; see `NumpyModule.from_onnx` for errors."""
        return NumpyBackendRep(NumpyModule.from_onnx(model))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Load a model and run it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run a single node, of the newest opset that the `onnx` package knows."""
        values = [helper.make_empty_tensor_value_info(name) for name in node.input if name]
        results = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        model = helper.make_model(
            helper.make_graph([node], "node", values, results),
            opset_imports=[helper.make_opsetid(node.domain, version)],
        )
        return cls.run_model(model, list(inputs), device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on a device: the processor alone."""
        return device.partition(":")[0] == "CPU"


prepare = NumpyBackend.prepare
run_model = NumpyBackend.run_model
supports_device = NumpyBackend.supports_device
