"""What the original estimators are extended with: integers, circuits and encrypted predictions."""

from __future__ import annotations

import warnings
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
from cml_frontends.sklearn.assembly import INPUT
from cml_frontends.sklearn.conversion import sklearn_to_onnx
from cml_frontends.sklearn.errors import NotQuantizedError
from cml_frontends.sklearn.originals import OWN, as_original
from cml_frontends.sklearn.parameters import as_samples, config_of, own_parameters
from cml_frontends.sklearn.table import Row

__all__ = ["FheEstimator"]

#: Which output of the model a method returns.
_OUTPUT_OF = {"predict_proba": "probabilities", "decision_function": "scores"}
#: Attributes that do not change what a fitted estimator predicts.
_IDLE = OWN | {"n_jobs", "_n_jobs", "verbose", "verbosity", "_metadata_request"}


class FheEstimator:
    """Base of the estimators here: an original, and what it becomes on encrypted data.

    Until it is quantized, an estimator is in all its methods the original. `quantize` or
    `compile` then make it predict on integers, in the clear (`fhe="disable"`), in simulation or
    encrypted, until it is fitted again, another model is loaded into it or one of its attributes
    is set to something else. A copy, in memory or in a file, is an unquantized one.
    """

    _row: ClassVar[Row]
    _original: ClassVar[type]
    #: What `quantize` and `compile` made, and the ONNX model once it was asked for.
    _compiled: CompiledModel | None = None
    _onnx: onnx.ModelProto | None = None
    n_bits: int | QuantConfig | None

    # --- the original ---

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, those of the original and `n_bits`."""
        own = {name: getattr(self, name) for name in own_parameters(self._row)}
        return {**as_original(self).get_params(deep), **own}

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name, those of the original and `n_bits`."""
        for name in own_parameters(self._row):
            if name in params:
                setattr(self, name, params.pop(name))
        super().set_params(**params)  # type: ignore[misc]
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; integers and circuit are gone if it says what is predicted."""
        if name not in _IDLE and name in vars(self) and vars(self)[name] is not value:
            self._forget()
        super().__setattr__(name, value)

    def _forget(self) -> None:
        vars(self).pop("_compiled", None)
        vars(self).pop("_onnx", None)

    def _load(self, method: str, *args: Any, **options: Any) -> Any:
        self._forget()  # what is loaded may change an attribute in place
        return getattr(super(), method)(*args, **options)

    def _config(self) -> QuantConfig:
        """How it is quantized; refuses parameters that say it wrongly."""
        own = {name: getattr(self, name) for name in own_parameters(self._row)}
        return config_of(self._row, **own)

    def _train(self, method: str, *args: Any, **options: Any) -> Any:
        self._config()
        original = as_original(self)
        getattr(original, method)(*args, **options)
        own = {k: v for k, v in vars(self).items() if k in own_parameters(self._row)}
        vars(self).clear()
        vars(self).update({**vars(original), **own})
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the circuit: a copy, and what is read from a file, is not quantized."""
        state = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_compiled", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a copy's state; what was made of another one is gone."""
        self._forget()
        super().__setstate__(state)  # type: ignore[misc]

    # --- the way to a circuit ---

    @classmethod
    def from_fitted(
        cls, estimator: Any, X: Any, n_bits: int | QuantConfig | None = None, **own: Any
    ) -> Any:
        """Quantize an estimator of the original class that is fitted already.

        Parameters
        ----------
        estimator : object
            What `fit` of the original gave; its fitted attributes are shared, not copied.
        X : array of shape (n, features)
            Representative samples.
        n_bits : int, QuantConfig or None
            As in the class itself.
        own
            Other parameters of this class that the original does not have.

        Raises
        ------
        ConfigError
            The estimator is of another class.
        """
        original = as_original(estimator)
        if not isinstance(original, cls._original):
            expected = f"a fitted {cls._original.__name__}"
            raise ConfigError("estimator", type(estimator).__name__, expected)
        result = cls(n_bits=n_bits, **own)
        vars(result).update(vars(original))
        result.quantize(X)
        return result

    def quantize(self, X: Any) -> QuantizedModule:
        """Quantize the fitted estimator, calibrated on representative samples.

        Parameters
        ----------
        X : array of shape (n, features)
            Some hundred samples, such as those it was fitted on.
        """
        samples = as_samples(X)
        config = self._config()
        self._onnx = sklearn_to_onnx(self, X)
        self._compiled = CompiledModel.from_onnx(self._onnx, samples, config, compile=False)
        return self._compiled.quantized_module

    def compile(
        self, X: Any = None, options: FheOptions | None = None, **changes: Any
    ) -> FheCircuit:
        """Quantize the fitted estimator and compile it to a circuit.

        Parameters
        ----------
        X : array of shape (n, features), optional
            Representative samples to quantize with; may be left out once it is quantized.
        options : FheOptions, optional
            Compiler, failure probability and so on.
        changes
            Fields of `FheOptions` to set.
        """
        if X is not None:
            self.quantize(X)
        self._compiled = self._need("integers", "quantize(X) or compile(X)").compile(
            options, **changes
        )
        return self.fhe_circuit

    def keygen(self, *, force: bool = False) -> None:
        """Generate the circuit's keys, unless there are some already or `force` asks for new."""
        self.fhe_circuit.keygen(force=force)

    @property
    def onnx_model(self) -> onnx.ModelProto:
        """The fitted estimator as an ONNX model; see `sklearn_to_onnx`."""
        if self._onnx is None:
            self._onnx = sklearn_to_onnx(self)
        return self._onnx

    @property
    def numpy_module(self) -> NumpyModule:
        """The ONNX model in NumPy."""
        if self._compiled is not None:
            return self._compiled.numpy_module
        return NumpyModule.from_onnx(self.onnx_model)

    @property
    def quantized_module(self) -> QuantizedModule:
        """Integers in the clear, once it is quantized."""
        return self._need("quantized module", "quantize(X) or compile(X)").quantized_module

    @property
    def fhe_circuit(self) -> FheCircuit:
        """The circuit, once it is compiled."""
        compiled = self._need("circuit", "compile(X)")
        if compiled.fhe_circuit is None:
            raise NotQuantizedError(self._row.name, "circuit", "compile()")
        return compiled.fhe_circuit

    # --- prediction ---

    def _predict(self, method: str, X: Any, fhe: FheMode, options: dict[str, Any]) -> Any:
        check_fhe(fhe)
        original = as_original(self)
        if fhe == "disable" and self._compiled is None:
            return getattr(original, method)(X, **options)
        if options:
            raise ConfigError(next(iter(options)), next(iter(options.values())), "none on integers")
        if fhe != "disable":
            self.fhe_circuit  # noqa: B018 - says what is missing
        samples = as_samples(X)
        results = self._need("integers", "compile(X)").run({INPUT: samples}, fhe=fhe)
        if method in _OUTPUT_OF:
            return results[_OUTPUT_OF[method]]
        if "label" in results:
            return results["label"].astype(original.classes_.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this sample has no feature names
            one = np.asarray(original.predict(samples[:1]))
        return results["variable"].reshape(len(samples), *one.shape[1:]).astype(one.dtype)

    def _need(self, wanted: str, remedy: str) -> CompiledModel:
        require("sklearn.utils.validation", "sklearn").check_is_fitted(self)
        if self._compiled is None:
            raise NotQuantizedError(self._row.name, wanted, remedy)
        return self._compiled
