"""One small estimator of each family, encrypted: the results are those in the clear."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

from cml_core.errors import ConfigError
from cml_frontends.sklearn import compile_sklearn_model
from tests.frontends.estimators import fitted, make, needs_library, split

pytestmark = [pytest.mark.fhe, pytest.mark.usefixtures("needs_compiler")]


@pytest.mark.parametrize(
    ("name", "classes", "samples", "parameters"),
    [
        ("LogisticRegression", 3, None, {}),
        ("SVC", 2, 12, {"n_bits": 3}),
        ("GaussianNB", 2, None, {"n_bits": 3}),
        ("KNeighborsClassifier", 3, 40, {}),
        ("MLPClassifier", 3, None, {"n_bits": 3, "hidden_layer_sizes": (3,)}),
        ("DecisionTreeClassifier", 3, None, {"max_depth": 2}),
        ("RandomForestClassifier", 3, None, {"n_estimators": 3, "max_depth": 2}),
        ("ExtraTreesClassifier", 3, None, {"n_estimators": 3, "max_depth": 2}),
        ("GradientBoostingClassifier", 2, None, {"n_estimators": 2, "max_depth": 2}),
        ("XGBClassifier", 2, None, {"n_estimators": 2, "max_depth": 2}),
        ("LGBMClassifier", 2, None, {"n_estimators": 2, "max_depth": 2}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_decrypted_results_are_those_in_the_clear(name, classes, samples, parameters, key_cache):
    needs_library(name)
    X_train, X_test, y_train, _ = split("iris", features=2)
    chosen = np.flatnonzero(y_train < classes)[:samples]
    X_train, y_train, X = X_train[chosen], y_train[chosen], X_test[:3]
    model = make(name, **parameters).fit(X_train, y_train)
    model.compile(X_train, key_cache=key_cache)
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            clear = getattr(model, method)(X)
            np.testing.assert_array_equal(getattr(model, method)(X, fhe="simulate"), clear)
    np.testing.assert_array_equal(model.predict(X, fhe="execute"), model.predict(X))
    if hasattr(model, "predict_proba"):
        encrypted = model.predict_proba(X, fhe="execute")
        np.testing.assert_array_equal(encrypted, model.predict_proba(X))


def test_the_example_of_the_first_page(tmp_path, key_cache):
    import onnx

    from cml_frontends.sklearn import LogisticRegression

    X_train, X_test, y_train, y_test = split("breast cancer")
    model = LogisticRegression(n_bits=2)
    model.fit(X_train, y_train)
    onnx.save(model.onnx_model, tmp_path / "tmp.onnx")
    assert onnx.load(tmp_path / "tmp.onnx") == model.onnx_model
    model.compile(X_train, key_cache=key_cache)
    model.keygen()
    found = model.predict(X_test, fhe="execute")
    np.testing.assert_array_equal(found, model.predict(X_test))
    assert np.mean(found == y_test) >= 0.92


def test_regressors_give_values(key_cache):
    case = fitted("PoissonRegressor")
    model = compile_sklearn_model(case.model, case.X_train, n_bits=4, compile=False)
    with pytest.raises(ConfigError, match="compile"):
        model.predict(case.X_test[:2], fhe="execute")
    model = model.compile(key_cache=key_cache)
    encrypted = model.predict(case.X_test[:2], fhe="execute")
    np.testing.assert_array_equal(encrypted, model.predict(case.X_test[:2]))
    assert encrypted.shape == (2, 1)
