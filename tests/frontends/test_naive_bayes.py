"""GaussianNB on integers, where features hardly vary: in all classes, or in one of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cml_core as cml
from cml_frontends.sklearn import compile_sklearn_model, sklearn_to_onnx
from tests.frontends.estimators import make, split


def drawn(classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples of six features, of which the fourth is for a test to fill, and their classes."""
    X, y = make_classification(
        300, 6, n_informative=4, n_classes=classes, random_state=seed, shuffle=False
    )
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order][:, [0, 1, 2, 4, 3, 5]].astype(np.float32), y[order]


def agreement(X: np.ndarray, y: np.ndarray) -> tuple[float, cml.QuantizedModule]:
    """The share of samples that integers and floats put into the same class."""
    model = make("GaussianNB").fit(X, y)
    in_floats = model.predict(X)
    quantized = model.quantize(X)
    return float(np.mean(model.predict(X) == in_floats)), quantized


@pytest.mark.parametrize("scaled", [False, True])
def test_digits_lose_at_most_a_point(scaled):
    X_train, X_test, y_train, y_test = split("digits", scaled)
    model = make("GaussianNB").fit(X_train, y_train)
    in_floats = model.score(X_test, y_test)
    model.quantize(X_train)
    assert model.score(X_test, y_test) >= in_floats - 0.01


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_feature_costs_nothing(classes, value):
    X, y = drawn(classes)
    X[:, 3] = value
    same, quantized = agreement(X, y)
    assert same >= 0.95
    without, alone = agreement(np.delete(X, 3, axis=1), y)
    assert quantized.report().lookups == alone.report().lookups
    assert same >= without - 0.01


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_feature_that_is_constant_in_some_classes_decides_no_less(classes, scaled):
    X, y = drawn(classes)
    X[:, 3] = (y == 1) & (np.random.default_rng(1).random(len(X)) < 0.3)
    if scaled:
        X = StandardScaler().fit_transform(X)
    assert agreement(X, y)[0] >= 0.95


@pytest.mark.parametrize("classes", [2, 3])
def test_a_feature_that_gives_one_class_away_decides(classes):
    X, y = drawn(classes)
    X[:, 3] = y == 1
    model = make("GaussianNB").fit(X, y)
    model.quantize(X)
    assert ((model.predict(X) == 1) == (y == 1)).all()


def test_features_of_very_different_sizes_count_alike():
    X_train, X_test, y_train, y_test = split("wine", scaled=False)
    model = make("GaussianNB").fit(X_train, y_train)
    in_floats = model.score(X_test, y_test)
    model.quantize(X_train)
    assert model.score(X_test, y_test) >= in_floats - 0.01


def test_samples_are_taken_through_the_steps_of_a_pipeline():
    X, y = drawn()
    X[:, 3] = (y == 1) & (np.random.default_rng(1).random(len(X)) < 0.3)
    pipeline = make_pipeline(StandardScaler(), GaussianNB()).fit(X, y)
    whole = compile_sklearn_model(pipeline, X, compile=False)
    assert np.mean(whole.predict(X)[0] == pipeline.predict(X)) >= 0.95


@pytest.mark.parametrize("classes", [2, 3])
def test_without_samples_a_model_is_the_estimator_to_the_end(classes):
    X, y = drawn(classes)
    X = X.astype(np.float64)
    X[:, 3] = (y == 1) & (np.random.default_rng(1).random(len(X)) < 0.3)
    estimator = GaussianNB().fit(X, y)
    far = np.random.default_rng(2).normal(size=(50, 6)).astype(np.float32)
    module = cml.NumpyModule.from_onnx(sklearn_to_onnx(estimator))
    labels, probabilities = module(far)
    assert (labels == estimator.predict(far)).mean() >= 0.98
    assert np.abs(probabilities - estimator.predict_proba(far)).max() < 0.02


def test_no_feature_need_tell_classes_apart():
    X = np.tile(np.linspace(-1.0, 1.0, 5, dtype=np.float32)[:, np.newaxis], (4, 2))
    y = np.repeat([0, 1, 2, 2], 5)
    estimator = GaussianNB().fit(X, y)
    module = cml.NumpyModule.from_onnx(sklearn_to_onnx(estimator, X))
    labels, probabilities = module(X)
    assert (labels == 2).all()
    np.testing.assert_allclose(probabilities, np.tile([0.25, 0.25, 0.5], (20, 1)), rtol=1e-6)


def test_constant_features_are_no_reason_to_refuse_it_without_samples():
    X, y = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
    X[:, 3] = 1000
    estimator = GaussianNB().fit(X.astype(np.float32), y)
    module = cml.NumpyModule.from_onnx(sklearn_to_onnx(estimator))
    labels = module(X.astype(np.float32))[0]
    assert (labels == estimator.predict(X.astype(np.float32))).mean() > 0.98
