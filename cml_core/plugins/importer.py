"""Importer: what a front end brings, so that models other than ONNX files can be given to cml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import onnx
from attrs import validators

from cml_core.errors import ModelFileError
from cml_core.plugins.discovery import IMPORTERS, load_group
from cml_core.plugins.once import once

__all__ = ["Importer", "import_model"]


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


@once
def _known() -> tuple[Importer, ...]:
    return tuple(p.provides for p in load_group(IMPORTERS) if p.status == "loaded")


def import_model(
    model: Any, sample_inputs: Any = None, *, importer: str | None = None
) -> onnx.ModelProto:
    """Turn another library's model into an ONNX model with the front end that accepts it.

    Parameters
    ----------
    model : object
        A fitted estimator, a network module, or whatever an installed front end takes.
    sample_inputs : array or tuple of arrays, optional
        Inputs to trace with, for front ends that need some.
    importer : str, optional
        Name of the front end to use, in place of the first that accepts the object.

    Raises
    ------
    ModelFileError
        No installed front end accepts the object, or the one asked for does not.
    """
    for known in _known():
        if importer in (None, known.name) and known.accepts(model):
            return known.to_onnx(model, sample_inputs)
    names = ", ".join(sorted(known.name for known in _known())) or "none"
    which = "no installed front end" if importer is None else f"no front end named {importer!r}"
    raise ModelFileError(
        f"an object of {type(model).__module__}.{type(model).__qualname__}",
        f"{which} accepts it (installed: {names})",
        "Export it to ONNX, or install a front end for its library.",
    )
