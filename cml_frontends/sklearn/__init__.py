"""scikit-learn's estimators, and those of XGBoost and LightGBM, on encrypted data.

    from cml_frontends.sklearn import LogisticRegression

    model = LogisticRegression(n_bits=4)
    model.fit(X_train, y_train)
    model.compile(X_train)
    y = model.predict(X_test, fhe="execute")

Estimators have the names and parameters of the originals, which they extend. Each class is made
when it is first asked for; only then is the library that it comes from imported.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "NotQuantizedError": "errors",
    "compile_sklearn_model": "compiling",
    "from_fitted": "compiling",
    "sklearn_to_onnx": "conversion",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    from cml_frontends.sklearn.generation import estimator_class
    from cml_frontends.sklearn.table import ROWS

    if name in ROWS:
        return estimator_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from cml_frontends.sklearn.table import ROWS

    return sorted({*_HOMES, *ROWS})
