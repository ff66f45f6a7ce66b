"""Importer: what a front end brings, so that models other than ONNX files can be given to cml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import onnx
from attrs import validators

__all__ = ["Importer"]


@attrs.frozen(slots=True)
class Importer:
    """A front end: which objects it takes and how it turns one into an ONNX model.

    Parameters
    ----------
    name : str
        Name of the library it imports from, such as `"torch"`.
    accepts : callable
        `accepts(model) -> bool`. Must be cheap and import nothing.
    to_onnx : callable
        `to_onnx(model, sample_inputs) -> onnx.ModelProto`.
    """

    name: str = attrs.field(validator=validators.instance_of(str))
    accepts: Callable[[Any], bool] = attrs.field(validator=validators.is_callable())
    to_onnx: Callable[[Any, Any], onnx.ModelProto] = attrs.field(validator=validators.is_callable())
