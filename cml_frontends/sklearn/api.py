"""What `cml_frontends.sklearn` itself gives; a class is made when it is first asked for."""

from __future__ import annotations

import importlib
from typing import Any

from cml_frontends.sklearn.table import ROWS

_HOMES = {
    "NotQuantizedError": "errors",
    "compile_sklearn_model": "compiling",
    "from_fitted": "compiling",
    "sklearn_to_onnx": "conversion",
}

__all__ = [*_HOMES, *ROWS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__package__}.{_HOMES[name]}"), name)
    if name in ROWS:
        from cml_frontends.sklearn.generation import estimator_class

        return estimator_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
