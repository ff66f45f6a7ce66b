"""The estimators of the scikit-learn front end, each fitted on one of scikit-learn's data sets."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any

import attrs
import numpy as np
import pytest
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import cml_frontends.sklearn as front
from cml_frontends.sklearn.table import ROWS

__all__ = ["CASES", "Case", "Fitted", "fitted", "make", "needs_library", "split"]


@attrs.frozen
class Case:
    """Data and parameters for one estimator."""

    data: str
    parameters: dict[str, Any] = attrs.field(factory=dict)
    scaled: bool = True


@attrs.frozen(eq=False)
class Fitted:
    """A fitted estimator and its data, which float32 holds exactly."""

    model: Any
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


_DEEP = {"max_depth": 4, "random_state": 0}
_FEW = {"n_estimators": 10, **_DEEP}
_BOOSTED = {"n_estimators": 10, "max_depth": 3}

CASES = {
    "LinearRegression": Case("diabetes"),
    "Ridge": Case("diabetes"),
    "Lasso": Case("diabetes"),
    "ElasticNet": Case("diabetes"),
    "SGDRegressor": Case("diabetes", {"random_state": 0}),
    "PoissonRegressor": Case("diabetes"),
    "GammaRegressor": Case("diabetes"),
    "TweedieRegressor": Case("diabetes", {"power": 1.5}),
    "LogisticRegression": Case("breast cancer", {"max_iter": 1000}),
    "SGDClassifier": Case("wine", {"random_state": 0, "loss": "log_loss"}),
    "Perceptron": Case("digits", {"random_state": 0}),
    "LinearDiscriminantAnalysis": Case("wine"),
    "LinearSVC": Case("iris", {"random_state": 0}),
    "LinearSVR": Case("diabetes", {"random_state": 0, "C": 10.0}),
    "SVC": Case("breast cancer"),
    "SVR": Case("diabetes", {"C": 10.0, "epsilon": 10.0}),
    "GaussianNB": Case("breast cancer"),
    "KNeighborsClassifier": Case("wine"),
    "MLPClassifier": Case(
        "breast cancer", {"hidden_layer_sizes": (16,), "max_iter": 300, "random_state": 0}
    ),
    "MLPRegressor": Case(
        "diabetes",
        {"hidden_layer_sizes": (8,), "solver": "lbfgs", "random_state": 0, "alpha": 100.0},
    ),
    "DecisionTreeClassifier": Case("iris", _DEEP, scaled=False),
    "DecisionTreeRegressor": Case("diabetes", _DEEP, scaled=False),
    "RandomForestClassifier": Case("breast cancer", _FEW, scaled=False),
    "RandomForestRegressor": Case("diabetes", _FEW, scaled=False),
    "ExtraTreesClassifier": Case("wine", _FEW, scaled=False),
    "ExtraTreesRegressor": Case("diabetes", _FEW, scaled=False),
    "GradientBoostingClassifier": Case("breast cancer", _FEW, scaled=False),
    "GradientBoostingRegressor": Case("diabetes", _FEW, scaled=False),
    "HistGradientBoostingClassifier": Case(
        "wine", {"max_iter": 10, "max_leaf_nodes": 8}, scaled=False
    ),
    "HistGradientBoostingRegressor": Case(
        "diabetes", {"max_iter": 10, "max_leaf_nodes": 8}, scaled=False
    ),
    "XGBClassifier": Case("breast cancer", _BOOSTED, scaled=False),
    "XGBRegressor": Case("diabetes", _BOOSTED, scaled=False),
    "LGBMClassifier": Case("breast cancer", {**_BOOSTED, "verbose": -1}, scaled=False),
    "LGBMRegressor": Case("diabetes", {**_BOOSTED, "verbose": -1}, scaled=False),
}


def needs_library(name: str) -> None:
    """Skip the test where an estimator's library, or its converter, is not installed."""
    row = ROWS[name]
    converter = "skl2onnx" if row.extra == "sklearn" else "onnxmltools"
    for library in (row.module.partition(".")[0], converter):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


@functools.cache
def split(data: str, scaled: bool = True, features: int | None = None) -> tuple[np.ndarray, ...]:
    """Training and test samples, then labels, of a data set of scikit-learn."""
    X, y = getattr(datasets, f"load_{data.replace(' ', '_')}")(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X[:, :features], y, random_state=0)
    if scaled:
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    return X_train.astype(np.float32), X_test.astype(np.float32), y_train, y_test


def make(name: str, **parameters: Any) -> Any:
    """An estimator by name, with a case's parameters but for those given."""
    return getattr(front, name)(**{**CASES[name].parameters, **parameters})


@functools.cache
def fitted(name: str) -> Fitted:
    """The estimator of a case, fitted. It is shared between tests: none may change it."""
    case = CASES[name]
    X_train, X_test, y_train, y_test = split(case.data, case.scaled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make(name).fit(X_train, y_train)
    return Fitted(model, X_train, X_test, y_train, y_test)
