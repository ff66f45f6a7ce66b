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
from cml_core.fhe.circuit import FheCircuit, stored_options, stored_report
from cml_core.numpy_module import NumpyModule
from cml_core.plugins.registry import OpRegistry
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.module import QuantizedModule, quantize
from cml_core.storage import read_archive

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
    numpy_module : NumpyModule or None
        Float execution; None once the model is read from a file, which holds no float model.
    quantized_module : QuantizedModule
        Integers in the clear.
    fhe_circuit : FheCircuit or None
        Integers on encrypted data; None until the model is compiled.
    """

    numpy_module: NumpyModule | None
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
    def onnx_model(self) -> onnx.ModelProto | None:
        """The ONNX model that was quantized; None where `numpy_module` is."""
        return None if self.numpy_module is None else self.numpy_module.onnx_model

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

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        options: FheOptions | None = None,
        *,
        registry: OpRegistry | None = None,
        compile: bool = True,
        **changes: Any,
    ) -> CompiledModel:
        """Read a `.cml` file that `save` or `cml compile` wrote, without the float model.

        Parameters
        ----------
        path : path
            The file.
        options : FheOptions, optional
            In place of those in the file.
        registry : OpRegistry, optional
            Operators of the model's tail; by default all that are installed.
        compile : bool
            Compile the circuit anew, where the file is that of one; `CompiledModel.compile` does
            it later.
        changes
            Fields of `FheOptions` to set.

        Raises
        ------
        StoredFileError
            The file is missing, damaged, or written by a newer cml.
        CmlError
            What `QuantizedModule.compile` raises.
        """
        parts = read_archive(path)
        model = cls(None, QuantizedModule.from_parts(parts, path, registry))
        if not compile or stored_report(parts, path) is None:
            return model
        return model.compile(options or stored_options(parts, path), **changes)

    def _circuit(self, fhe: FheMode) -> FheCircuit:
        if self.fhe_circuit is None:
            raise ConfigError("fhe", fhe, "'disable' until the model is compiled; see compile()")
        return self.fhe_circuit

    def __repr__(self) -> str:
        state = "not compiled" if self.fhe_circuit is None else "compiled"
        source = "of a file"
        if self.numpy_module is not None:
            source = self.numpy_module.graph.graph.source
        return f"<CompiledModel {source}: {state}>"
