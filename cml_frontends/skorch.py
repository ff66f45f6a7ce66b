"""skorch's classifier and regressor, with predictions on integers and on encrypted data.

Importing this imports skorch, and raises `MissingLibraryError` where it is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import onnx

from cml_core.errors import ConfigError
from cml_core.fhe.backend import FheOptions
from cml_core.fhe.circuit import FheCircuit
from cml_core.numpy_module import NumpyModule
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.module import QuantizedModule
from cml_frontends.compiled import CompiledModel, FheMode, check_fhe
from cml_frontends.optional import require
from cml_frontends.torch import compile_torch_model

torch = require("torch", "skorch")
skorch = require("skorch", "skorch")

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]

_CALIBRATION_SAMPLES = 512
#: The part of a copy's state that is the trained module, beside those of its integers.
_MODEL = "model.onnx"


class _EncryptedNet:
    """What the classifier and the regressor share.

    `compile` is a method here. skorch's own parameter of this name, which asks for
    `torch.compile`, has no place in a network that leaves PyTorch after training.

    A copy of a net that is quantized, in memory or in a file, predicts on the same integers; it
    has no circuit until `compile` makes one.
    """

    prefixes_: ClassVar[list[str]] = [p for p in skorch.NeuralNet.prefixes_ if p != "compile"]

    def __init__(
        self,
        module: Any,
        *args: Any,
        n_bits: int | None = None,
        config: QuantConfig | None = None,
        **kwargs: Any,
    ) -> None:
        if "compile" in kwargs:
            raise ConfigError("compile", kwargs["compile"], "no such parameter; see compile(X)")
        super().__init__(module, *args, **kwargs)
        vars(self).pop("compile", None)  # skorch's parameter, which would hide the method
        self.n_bits = n_bits
        self.config = config
        self.compiled_ = None

    # --- from training to a circuit ---

    @classmethod
    def from_fitted(
        cls, net: Any, X: Any, *, n_bits: int | None = None, config: QuantConfig | None = None
    ) -> Any:
        """Quantize a fitted net of skorch itself, and share its module.

        Parameters
        ----------
        net : skorch.NeuralNet
            A fitted net.
        X : array, tensor, mapping or dataset
            Representative samples.
        n_bits, config
            As for the class.
        """
        if not isinstance(net, skorch.NeuralNet):
            raise ConfigError("net", net, "a fitted net of skorch")
        net.check_is_fitted()
        own = cls.__new__(cls)
        vars(own).update(vars(net))
        vars(own).update(n_bits=n_bits, config=config, compiled_=None)
        vars(own).update(prefixes_=[name for name in net.prefixes_ if name != "compile"])
        vars(own).pop("compile", None)
        own.compiled_ = own._quantize(X)
        return own

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Any:
        """Train as skorch does, then quantize on at most 512 of the samples.

        From then on predictions are made on integers. `partial_fit` goes back to floats, until
        `compile` quantizes again.
        """
        if self.n_bits is not None:
            QuantConfig.with_bits(self.n_bits)  # refuses a wrong width before the training
        super().fit(X, y, **fit_params)
        self.compiled_ = self._quantize(X, _CALIBRATION_SAMPLES)
        return self

    def compile(self, X: Any, options: FheOptions | None = None, **changes: Any) -> FheCircuit:
        """Quantize the trained module on samples, and compile it.

        Parameters
        ----------
        X : array, tensor, mapping or dataset
            Representative samples.
        options : FheOptions, optional
            Compiler, failure probability and so on.
        changes
            Fields of `FheOptions` to set.
        """
        self.check_is_fitted()
        self.compiled_ = self._quantize(X).compile(options, **changes)
        return self.compiled_.fhe_circuit

    def initialize_module(self, *args: Any, **kwargs: Any) -> Any:
        """Make the module anew, and forget what became of the one before."""
        self.compiled_ = None
        return super().initialize_module(*args, **kwargs)

    def torch_compile(self, module: Any, name: str) -> Any:
        """Leave the module as it is; skorch would ask its parameter `compile`."""
        return module

    def partial_fit(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Train further as skorch does; see `fit`."""
        self.compiled_ = None
        return super().partial_fit(X, y, **fit_params)

    def load_params(self, *args: Any, **kwargs: Any) -> Any:
        """Load parameters as skorch does, and forget what became of those before."""
        self.compiled_ = None
        return super().load_params(*args, **kwargs)

    # --- predictions ---

    def predict_proba(self, X: Any, fhe: FheMode = "disable") -> np.ndarray:
        """What the module gives, behind skorch's nonlinearity for predictions.

        Parameters
        ----------
        X : array, tensor, mapping or dataset
            Samples.
        fhe : {"disable", "simulate", "execute"}
            Compute on integers in the clear, simulate encryption, or encrypt, run and decrypt
            (with new keys if there are none yet).

        Raises
        ------
        ConfigError
            `fhe` is none of these, or needs a circuit and there is none.
        """
        check_fhe(fhe)
        if self.compiled_ is None:
            if fhe != "disable":
                raise ConfigError("fhe", fhe, "'disable' until the net is compiled; see compile(X)")
            return super().predict_proba(X)
        nonlinearity = self._get_predict_nonlinearity()
        dataset = self.get_dataset(X)
        if not len(dataset):
            return self._predict_none(nonlinearity)
        results = []
        for batch in self._batches(dataset):
            if isinstance(batch, Mapping):
                inputs = {spec.name: batch[spec.name] for spec in self.numpy_module.inputs}
                outputs = tuple(self.compiled_.run(inputs, fhe=fhe).values())
            else:
                outputs = self.compiled_.predict(batch, fhe=fhe)
            first = outputs[0] if isinstance(outputs, tuple) else outputs
            results.append(nonlinearity(torch.from_numpy(first)).numpy())
        return np.concatenate(results)

    @property
    def onnx_model(self) -> onnx.ModelProto:
        """The trained module as an ONNX model."""
        return self._compiled().onnx_model

    @property
    def numpy_module(self) -> NumpyModule:
        """The trained module in NumPy, in floats."""
        return self._compiled().numpy_module

    @property
    def quantized_module(self) -> QuantizedModule:
        """The trained module on integers."""
        return self._compiled().quantized_module

    @property
    def fhe_circuit(self) -> FheCircuit | None:
        """The circuit; None until `compile` is called."""
        return self._compiled().fhe_circuit

    # --- inside ---

    def _predict_none(self, nonlinearity: Any) -> np.ndarray:
        """What predictions of no samples look like, in shape and dtype."""
        spec = self.numpy_module.outputs[0]
        sizes = [size if isinstance(size, int) else 0 for size in (spec.shape or ())[1:]]
        one: np.ndarray = nonlinearity(torch.zeros((1, *sizes), dtype=torch.float32)).numpy()
        return one[:0]

    def _compiled(self) -> CompiledModel:
        self.check_is_fitted()
        if self.compiled_ is None:
            raise skorch.exceptions.NotInitializedError(
                "This net has been trained further since it was quantized; call compile(X)."
            )
        return self.compiled_

    def _quantize(self, X: Any, most: int | None = None) -> CompiledModel:
        """Quantize the module on samples, or on so many of them that are spread evenly."""
        dataset = self.get_dataset(X)
        if most is not None and len(dataset) > most:
            places = np.linspace(0, len(dataset) - 1, most).astype(int)
            dataset = torch.utils.data.Subset(dataset, places)
        batches = list(self._batches(dataset))
        samples = (
            {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            if isinstance(batches[0], Mapping)
            else np.concatenate(batches)
        )
        return compile_torch_model(
            self.module_, samples, self.config, n_bits=self.n_bits, compile=False
        )

    def _batches(self, dataset: Any) -> Iterator[np.ndarray | dict[str, np.ndarray]]:
        """Inputs as skorch's own iterator gives them: arrays, or mappings of arrays."""
        for batch in self.get_iterator(dataset, training=False):
            inputs, _ = skorch.dataset.unpack_data(batch)
            if isinstance(inputs, (tuple, list)):
                expected = "an array, or a mapping by the names of forward's parameters"
                raise ConfigError("X", type(inputs), expected)
            if isinstance(inputs, Mapping):
                yield {name: skorch.utils.to_numpy(tensor) for name, tensor in inputs.items()}
            else:
                yield skorch.utils.to_numpy(inputs)

    def __getstate__(self) -> dict[str, Any]:
        """Integers as the bytes of a file, without machine code and keys."""
        state = {**super().__getstate__(), "compiled_": None}
        if self.compiled_ is not None:
            model = self.compiled_.onnx_model.SerializeToString()
            state["compiled_"] = {**self.compiled_.quantized_module.to_parts(), _MODEL: model}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a copy's state; its integers are read as from a file."""
        super().__setstate__(state)
        if self.compiled_ is not None:
            parts: dict[str, bytes] = dict(self.compiled_)
            module = NumpyModule.from_onnx(parts.pop(_MODEL))
            quantized = QuantizedModule.from_parts(parts, "the copied net")
            self.compiled_ = CompiledModel(module, quantized)


class NeuralNetClassifier(_EncryptedNet, skorch.NeuralNetClassifier):
    """skorch's classifier, whose predictions can be made on encrypted data.

    It takes all parameters of `skorch.NeuralNetClassifier` but `compile`, and trains in floats.

    Parameters
    ----------
    module : torch.nn.Module
        Class or instance, as for skorch.
    n_bits : int, optional
        One bit width for inputs, weights and activations.
    config : QuantConfig, optional
        All choices of quantization, in place of `n_bits`.
    """

    def predict(self, X: Any, fhe: FheMode = "disable") -> np.ndarray:
        """Labels, as places in what `predict_proba` gives; see there for the parameters."""
        return self.predict_proba(X, fhe=fhe).argmax(axis=1)


class NeuralNetRegressor(_EncryptedNet, skorch.NeuralNetRegressor):
    """skorch's regressor, whose predictions can be made on encrypted data.

    It takes all parameters of `skorch.NeuralNetRegressor` but `compile`, and trains in floats.

    Parameters
    ----------
    module : torch.nn.Module
        Class or instance, as for skorch.
    n_bits : int, optional
        One bit width for inputs, weights and activations.
    config : QuantConfig, optional
        All choices of quantization, in place of `n_bits`.
    """

    def predict(self, X: Any, fhe: FheMode = "disable") -> np.ndarray:
        """Predicted values; see `predict_proba` for the parameters."""
        return self.predict_proba(X, fhe=fhe)
