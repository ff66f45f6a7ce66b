"""Making the class of an estimator: the original, extended."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from cml_frontends.optional import require
from cml_frontends.sklearn.estimator import FheEstimator
from cml_frontends.sklearn.originals import as_original
from cml_frontends.sklearn.parameters import own_parameters
from cml_frontends.sklearn.table import ROWS, Row

__all__ = ["estimator_class"]

_HOME = "cml_frontends.sklearn"
_DOC = """{name} of {library}, which also predicts on encrypted data.

It takes the parameters of the original, has its methods and attributes, and besides:

Parameters
----------
n_bits : int, QuantConfig or None
    The bit width of {widths}; a `QuantConfig` for all choices; or None for what serves
    {name} well.
{encoding}
See Also
--------
{module}.{name} : The original.
"""
_WIDTHS = {"input_bits": "inputs", "weight_bits": "weights", "activation_bits": "activations"}
_ENCODING = """encoding : {"thermometer", "bins", "uniform"} or None
    How the client encodes features, in place of `thresholds` of the `QuantConfig`.
"""


@functools.cache
def estimator_class(name: str) -> type:
    """Make the class of an estimator that has a row.

    Raises
    ------
    MissingLibraryError
        The original's library is not installed.
    """
    row = ROWS[name]
    require("sklearn", "sklearn")
    original: type = getattr(require(row.module, row.extra), name)
    methods = {
        method: made(row, original, method)
        for made, methods in (
            (_training, ("fit", "partial_fit")),
            (_loading, tuple(name for name in dir(original) if name.startswith("load"))),
            (_prediction, ("predict", "predict_proba", "decision_function")),
        )
        for method in methods
        if hasattr(original, method)
    }
    namespace = {
        "__module__": _HOME,
        "__qualname__": name,
        "__doc__": _DOC.format(
            name=name,
            library=row.module.partition(".")[0],
            module=row.module,
            widths=" and ".join(_WIDTHS[width] for width in row.widths),
            encoding=_ENCODING if row.has_trees else "",
        ),
        "__init__": _constructor(row, original),
        "_row": row,
        "_original": original,
        **methods,
    }
    return type(name, (FheEstimator, original), namespace)


def _constructor(row: Row, original: type) -> Callable[..., None]:
    own = own_parameters(row)

    def __init__(self: Any, *args: Any, **parameters: Any) -> None:
        for name, parameter in own.items():
            setattr(self, name, parameters.pop(name, parameter.default))
        original.__init__(self, *args, **parameters)

    return _as(__init__, row, original.__init__, own.values())


def _training(row: Row, original: type, method: str) -> Callable[..., Any]:
    def train(self: Any, *args: Any, **options: Any) -> Any:
        return self._train(method, *args, **options)

    return _as(train, row, getattr(original, method))


def _loading(row: Row, original: type, method: str) -> Callable[..., Any]:
    def load(self: Any, *args: Any, **options: Any) -> Any:
        return self._load(method, *args, **options)

    return _as(load, row, getattr(original, method))


def _prediction(row: Row, original: type, method: str) -> Any:
    available_if = require("sklearn.utils.metaestimators", "sklearn").available_if
    fhe = inspect.Parameter("fhe", inspect.Parameter.KEYWORD_ONLY, default="disable")

    def predict(self: Any, X: Any, *, fhe: Any = "disable", **options: Any) -> Any:
        return self._predict(method, X, fhe, options)

    described = _as(predict, row, getattr(original, method), [fhe])
    return available_if(lambda self: hasattr(as_original(self), method))(described)


def _as(
    function: Callable[..., Any],
    row: Row,
    original: Callable[..., Any],
    more: Iterable[inspect.Parameter] = (),
) -> Callable[..., Any]:
    """Give a function the name, text and signature of an original, with more parameters.

    scikit-learn reads parameters from signatures.
    """
    signature = inspect.signature(original)
    parameters = list(signature.parameters.values())
    rest = [parameters.pop()] if parameters[-1].kind is inspect.Parameter.VAR_KEYWORD else []
    function.__name__ = original.__name__
    function.__qualname__ = f"{row.name}.{original.__name__}"
    function.__module__ = _HOME
    function.__doc__ = original.__doc__
    described: Any = function
    described.__signature__ = signature.replace(parameters=[*parameters, *more, *rest])
    return function
