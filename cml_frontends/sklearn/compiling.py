"""Fitted estimators and pipelines, compiled in one call."""

from __future__ import annotations

from typing import Any

from cml_core.errors import ConfigError
from cml_core.fhe.backend import FheOptions
from cml_core.quantization.config import QuantConfig
from cml_frontends.compiled import CompiledModel
from cml_frontends.sklearn.conversion import Via, sklearn_to_onnx
from cml_frontends.sklearn.generation import estimator_class
from cml_frontends.sklearn.originals import as_original, steps_of
from cml_frontends.sklearn.parameters import as_samples
from cml_frontends.sklearn.table import row_of

__all__ = ["compile_sklearn_model", "from_fitted"]


def compile_sklearn_model(
    estimator: Any,
    X: Any,
    config: QuantConfig | None = None,
    *,
    n_bits: int | None = None,
    via: Via = "auto",
    options: FheOptions | None = None,
    compile: bool = True,
) -> CompiledModel:
    """Turn a fitted estimator or pipeline into ONNX, quantize it and compile it.

    All of a pipeline becomes one model, its transformers included.

    Parameters
    ----------
    estimator : object
        As in `sklearn_to_onnx`.
    X : array of shape (n, features)
        Representative samples, as they enter the pipeline.
    config : QuantConfig, optional
        All choices of quantization, by default what serves the (final) estimator well.
    n_bits : int, optional
        One bit width for inputs, weights and activations, in place of `config`.
    via : {"auto", "skl2onnx", "hummingbird"}
        The converter, as in `sklearn_to_onnx`.
    options : FheOptions, optional
        How the circuit is compiled.
    compile : bool
        Stop after quantization if False; `CompiledModel.compile` goes on from there.

    Raises
    ------
    CmlError
        What `sklearn_to_onnx`, `quantize` and `QuantizedModule.compile` raise.
    """
    samples = as_samples(X)
    model = sklearn_to_onnx(estimator, X, via=via)
    row = row_of(steps_of(estimator)[1])
    if config is None and n_bits is None and row is not None:
        config = row.config
    return CompiledModel.from_onnx(
        model, samples, config, n_bits=n_bits, options=options, compile=compile
    )


def from_fitted(estimator: Any, X: Any, n_bits: int | QuantConfig | None = None, **own: Any) -> Any:
    """Quantize a fitted estimator of scikit-learn, XGBoost or LightGBM.

    Parameters
    ----------
    estimator : object
        A fitted estimator, of a class whose name this package has too.
    X : array of shape (n, features)
        Representative samples.
    n_bits : int, QuantConfig or None
        As in the class of this package.
    own
        Its other parameters that the original does not have.

    Returns
    -------
    object
        The estimator as one of this package's class; see its `from_fitted`.

    Raises
    ------
    ConfigError
        There is no such class.
    """
    row = row_of(as_original(estimator))
    if row is None:
        raise ConfigError(
            "estimator",
            type(estimator).__name__,
            "an estimator that this package has; compile_sklearn_model takes others and pipelines",
        )
    cls: Any = estimator_class(row.name)
    return cls.from_fitted(estimator, X, n_bits, **own)
