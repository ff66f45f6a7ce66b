"""CompiledModel: what a front end makes of a model, from the float graph to the circuit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs
import numpy as np
import onnx

from cml_core.errors import ConfigError
from cml_core.feeds import bind_arguments, unpack
from cml_core.fhe.backend import FheOptions
from cml_core.fhe.circuit import FheCircuit
from cml_core.numpy_module import NumpyModule
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.module import QuantizedModule, quantize

__all__ = ["CompiledModel", "FheMode", "check_fhe"]

FheMode = Literal["disable", "simulate", "execute"]


def check_fhe(fhe: Any) -> None:
    """Refuse what is not an `FheMode`.

    Raises
    ------
    ConfigError
        With the choices.
    """
    if fhe not in get_args(FheMode):
        raise ConfigError("fhe", fhe, f"one of {', '.join(map(repr, get_args(FheMode)))}")


@attrs.frozen(slots=True, eq=False)
class CompiledModel:
    """A model in its three forms: float in NumPy, integers in the clear, and a circuit.

    Parameters
    ----------
    numpy_module : NumpyModule
        Float execution.
    quantized_module : QuantizedModule
        Integers in the clear.
    fhe_circuit : FheCircuit or None
        Integers on encrypted data; None until the model is compiled.
    """

    numpy_module: NumpyModule
    quantized_module: QuantizedModule
    fhe_circuit: FheCircuit | None = None

    @classmethod
    def from_onnx(
        cls,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        inputset: Any,
        config: QuantConfig | None = None,
        *,
        n_bits: int | None = None,
        options: FheOptions | None = None,
        compile: bool = True,
    ) -> CompiledModel:
        """Load, quantize and (by default) compile an ONNX model; see `compile_onnx_model`."""
        module = NumpyModule.from_onnx(model)
        quantized = quantize(module, inputset, config, n_bits=n_bits)
        return cls(module, quantized, quantized.compile(options) if compile else None)

    @property
    def onnx_model(self) -> onnx.ModelProto:
        """The ONNX model that was quantized."""
        return self.numpy_module.onnx_model

    def compile(self, options: FheOptions | None = None, **changes: Any) -> CompiledModel:
        """Return this model with a circuit; takes what `QuantizedModule.compile` takes."""
        return attrs.evolve(self, fhe_circuit=self.quantized_module.compile(options, **changes))

    def predict(self, *arrays: Any, fhe: FheMode = "disable") -> Any:
        """Predict on positional arrays; one array, or a tuple when there are several outputs.

        Parameters
        ----------
        arrays : array
            One array for each input of the model.
        fhe : {"disable", "simulate", "execute"}
            Compute on integers in the clear, simulate encryption, or encrypt, run and decrypt
            (with new keys if there are none yet).

        Raises
        ------
        ConfigError
            `fhe` is none of these, or needs a circuit and there is none.
        InputError
            An input is missing, unknown, or of the wrong shape or dtype.
        """
        inputs = self.quantized_module.client.layout.inputs
        return unpack(self.run(bind_arguments(inputs, arrays), fhe=fhe))

    def __call__(self, *arrays: Any) -> Any:
        """Predict on integers in the clear."""
        return self.predict(*arrays)

    def run(self, inputs: Mapping[str, Any], *, fhe: FheMode = "disable") -> dict[str, np.ndarray]:
        """Predict by name: a mapping of input arrays to a dict of outputs; see `predict`."""
        check_fhe(fhe)
        if fhe == "disable":
            return self.quantized_module.run(inputs)
        circuit = self._circuit(fhe)
        if fhe == "simulate":
            return circuit.simulate(inputs)
        circuit.keygen()
        return circuit.run(inputs)

    def keygen(self, *, force: bool = False) -> None:
        """Generate keys, unless there are some already or `force` asks for new ones."""
        self._circuit("execute").keygen(force=force)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.cml` file: the circuit, or the quantized module while there is none."""
        (self.fhe_circuit or self.quantized_module).save(path)

    def _circuit(self, fhe: FheMode) -> FheCircuit:
        if self.fhe_circuit is None:
            raise ConfigError("fhe", fhe, "'disable' until the model is compiled; see compile()")
        return self.fhe_circuit

    def __repr__(self) -> str:
        state = "not compiled" if self.fhe_circuit is None else "compiled"
        return f"<CompiledModel {self.numpy_module.graph.graph.source}: {state}>"
