"""The activation functions of recurrent layers: named in attributes, with a clip before each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.sigmoid import sigmoid, softplus

__all__ = ["Activation", "recurrent_activations"]

Activation = Callable[[np.ndarray], np.ndarray]

#: Each function takes x, alpha and beta; with it go the defaults of those it has.
_FUNCTIONS = {
    "relu": (lambda x, a, b: np.maximum(x, 0.0), ()),
    "tanh": (lambda x, a, b: np.tanh(x), ()),
    "sigmoid": (lambda x, a, b: sigmoid(x), ()),
    "softsign": (lambda x, a, b: x / (1.0 + np.abs(x)), ()),
    "softplus": (lambda x, a, b: softplus(x), ()),
    "leakyrelu": (lambda x, a, b: np.where(x >= 0, x, a * x), (0.01,)),
    "thresholdedrelu": (lambda x, a, b: np.where(x >= a, x, 0.0), (1.0,)),
    "elu": (lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0.0))), (1.0,)),
    "affine": (lambda x, a, b: a * x + b, (1.0, 0.0)),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), (1.0, 1.0)),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0.0, 1.0), (0.2, 0.5)),
}


def recurrent_activations(
    names: Sequence[str],
    count: int,
    *,
    alpha: Sequence[float] | None,
    beta: Sequence[float] | None,
    clip: float | None,
) -> tuple[Activation, ...]:
    """Return the first `count` activation functions of a list of names.

    Names may be in upper or lower case. Values of alpha and beta are consumed in the order of the
    functions that have such a parameter; where they run out, the operators' own defaults hold.

    Raises
    ------
    AttributeValueError
        There are too few names, one is unknown, or `clip` is negative.
    """
    if len(names) < count:
        raise AttributeValueError("activations", list(names), f"{count} names")
    if clip is not None and not clip >= 0:
        raise AttributeValueError("clip", clip, "a number that is not negative")
    alphas, betas = iter(alpha or ()), iter(beta or ())
    return tuple(_activation(name, alphas, betas, clip) for name in names[:count])


def _activation(
    name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None
) -> Activation:
    known = _FUNCTIONS.get(name.lower())
    if known is None:
        raise AttributeValueError("activations", name, f"one of {', '.join(sorted(_FUNCTIONS))}")
    function, defaults = known
    given = [
        next(values, default) for values, default in zip((alphas, betas), defaults, strict=False)
    ]
    return partial(_clipped, function, *[*given, 0.0, 0.0][:2], clip)


def _clipped(function, alpha: float, beta: float, clip: float | None, x: np.ndarray) -> np.ndarray:
    return function(x if clip is None else np.clip(x, -clip, clip), alpha, beta)
