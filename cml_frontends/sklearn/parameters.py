"""The parameters that estimators here have beside the original's, and what they mean."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args

import attrs
import numpy as np

from cml_core.errors import ConfigError
from cml_core.quantization.config import QuantConfig
from cml_frontends.optional import require
from cml_frontends.sklearn.table import Row

__all__ = ["Encoding", "as_samples", "config_of", "own_parameters"]

#: How the client encodes features that trees compare with thresholds.
Encoding = Literal["thermometer", "bins", "uniform"]


def own_parameters(row: Row) -> dict[str, inspect.Parameter]:
    """Parameters by name, as they stand in the class's signature."""
    found = {"n_bits": None, "encoding": None} if row.has_trees else {"n_bits": None}
    return {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in found.items()
    }


def config_of(
    row: Row, n_bits: int | QuantConfig | None = None, encoding: Encoding | None = None
) -> QuantConfig:
    """How an estimator is quantized.

    Parameters
    ----------
    row : Row
        The estimator.
    n_bits : int, QuantConfig or None
        The width of what costs something in such an estimator; all choices; or its default.
    encoding : {"thermometer", "bins", "uniform"} or None
        In place of `thresholds` of the configuration.

    Raises
    ------
    ConfigError
        One of them is none of these.
    """
    if n_bits is None:
        config = row.config
    elif isinstance(n_bits, QuantConfig):
        config = n_bits
    else:
        rounding = QuantConfig.with_bits(n_bits).rounding_bits
        widths = dict.fromkeys(row.widths, n_bits)
        config = attrs.evolve(row.config, rounding_bits=rounding, **widths)
    if encoding is None:
        return config
    if encoding not in get_args(Encoding):
        choices = ", ".join(map(repr, get_args(Encoding)))
        raise ConfigError("encoding", encoding, f"one of {choices}, or None")
    return attrs.evolve(config, thresholds=encoding)


def as_samples(X: Any) -> np.ndarray:
    """Samples as the float32 matrix that models take.

    Raises
    ------
    ValueError
        They are not a matrix of finite numbers; scikit-learn's own error.
    """
    validation = require("sklearn.utils.validation", "sklearn")
    samples: np.ndarray = validation.check_array(X, dtype=np.float32)
    return samples
