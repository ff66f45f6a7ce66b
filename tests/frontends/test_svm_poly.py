"""Support vector machines with polynomial kernels on integers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

import cml_core as cml
from tests.frontends.estimators import make, split


@pytest.mark.parametrize(
    ("parameters", "lost", "most"),
    [
        ({}, 0.01, 28),
        ({"coef0": 1.0}, 0.01, 28),
        ({"degree": 4}, 0.06, 28),
        ({"degree": 2}, 0.01, 15),
    ],
    ids=["cube", "cube with coef0", "fourth power", "square"],
)
def test_kernels_that_cancel_out_lose_little(parameters, lost, most):
    # Features are not centred: kernels are hundreds of times as large as their weighed sums.
    X_train, X_test, y_train, y_test = split("iris", scaled=False)
    model = make("SVC", kernel="poly", **parameters).fit(X_train, y_train)
    in_floats = model.score(X_test, y_test)
    quantized = model.quantize(X_train)
    assert model.score(X_test, y_test) >= in_floats - lost
    assert quantized.report().lookups <= most


def test_regression_with_kernels_that_cancel_out_is_close():
    X, _, y, _ = split("diabetes")
    X, y = X[:100] + 3, y[:100]
    model = make("SVR", kernel="poly", C=1.0, epsilon=20.0).fit(X, y)
    in_floats = model.predict(X)
    model.quantize(X)
    assert np.abs(model.predict(X) - in_floats).mean() < 0.02 * np.ptp(in_floats)


def test_kernels_that_do_not_cancel_out_cost_one_lookup_each():
    X_train, _, y_train, _ = split("iris")
    model = make("SVC", kernel="poly").fit(X_train, y_train)
    quantized = model.quantize(X_train)
    assert quantized.report().lookups <= len(model.support_vectors_)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_a_polynomial_around_the_mean_is_the_same_function(degree):
    X_train, X_test, y_train, _ = split("iris", scaled=False)
    model = make("SVC", kernel="poly", degree=degree).fit(X_train[:40], y_train[:40])
    expanded = cml.NumpyModule.from_onnx(model.onnx_model).expanded
    assert not [node for node in expanded.onnx_model.graph.node if node.op_type == "Pow"]
    scores = dict(zip([o.name for o in expanded.outputs], expanded(X_test), strict=True))["scores"]
    wanted = model.decision_function(X_test)
    assert np.abs(scores - wanted).max() < 1e-3 * np.abs(wanted).max()
