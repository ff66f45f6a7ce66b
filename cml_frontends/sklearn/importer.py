"""The importer of fitted estimators; loading it imports neither scikit-learn nor a converter."""

from __future__ import annotations

from typing import Any

import onnx

from cml_core.plugins.hookspecs import hookimpl
from cml_core.plugins.importer import Importer

__all__: list[str] = []


@hookimpl
def cml_importer() -> Importer:
    """Give fitted estimators and pipelines to `NumpyModule.from_model`."""
    return Importer("scikit-learn", _is_estimator, _to_onnx)


def _is_estimator(model: Any) -> bool:
    libraries = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    return "sklearn" in libraries and "skorch" not in libraries and hasattr(model, "fit")


def _to_onnx(model: Any, sample_inputs: Any) -> onnx.ModelProto:
    from cml_frontends.sklearn.conversion import sklearn_to_onnx

    return sklearn_to_onnx(model, sample_inputs)
