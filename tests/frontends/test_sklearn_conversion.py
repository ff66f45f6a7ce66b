"""Fitted estimators as ONNX models: they give the predictions of the libraries themselves."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

import cml_core as cml
from cml_core.errors import ConfigError, ExporterError, MissingLibraryError
from cml_frontends.sklearn import compile_sklearn_model, sklearn_to_onnx
from cml_frontends.sklearn.bodies import library
from cml_frontends.sklearn.bodies.hist_boosting import rounded_down
from cml_frontends.sklearn.drawing import drawn_samples
from cml_frontends.sklearn.importer import cml_importer
from cml_frontends.sklearn.table import ROWS
from tests.frontends.estimators import CASES, fitted, make, needs_library, split

#: The methods whose results outputs of a model are.
METHODS = {
    "label": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "variable": "predict",
}
#: Estimators that Hummingbird cannot turn into a module, and why.
NOT_BY_HUMMINGBIRD = {
    "SGDRegressor": "MissingConverter",
    "Perceptron": "gives no scores",
    "LinearDiscriminantAnalysis": "MissingConverter",
    "LinearSVC": "gives no scores",
    "SVC": "gives no scores",
    "SVR": "MissingConverter",
    "KNeighborsClassifier": "batch_size",
    "XGBClassifier": "differs from the estimator's",
    "XGBRegressor": "could not convert",
}


def run(model, X):
    return cml.NumpyModule.from_onnx(model).run({"X": X})


def check_agreement(model, estimator, X, tolerance=1e-5):
    """All outputs are what the estimator's methods give, and there are no others."""
    outputs = run(model, X)
    assert {name: len(one) for name, one in run(model, X[:1]).items()} == dict.fromkeys(outputs, 1)
    wanted = {METHODS[name] for name in outputs}
    assert {m for m in set(METHODS.values()) if hasattr(estimator, m)} - wanted <= {
        "decision_function"  # Hummingbird gives probabilities alone
    }
    for name, found in outputs.items():
        expected = np.asarray(getattr(estimator, METHODS[name])(X))
        if name == "label":
            np.testing.assert_array_equal(found, expected)
        else:
            size = np.abs(expected).max()
            np.testing.assert_allclose(
                found.reshape(expected.shape), expected, atol=tolerance * size
            )


@pytest.mark.parametrize("name", CASES)
def test_the_model_agrees_with_the_estimator_on_every_sample(name):
    needs_library(name)
    case = fitted(name)
    check_agreement(case.model.onnx_model, case.model, case.X_test)


def test_every_estimator_has_a_case():
    assert set(CASES) == set(ROWS)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_BY_HUMMINGBIRD])
def test_hummingbird_agrees_too(name):
    pytest.importorskip("hummingbird.ml", reason="Hummingbird is not installed")
    needs_library(name)
    case = fitted(name)
    model = sklearn_to_onnx(case.model, case.X_train, via="hummingbird")
    check_agreement(model, case.model, case.X_test)
    by_skl2onnx, by_hummingbird = run(case.model.onnx_model, case.X_test), run(model, case.X_test)
    for output, found in by_hummingbird.items():
        if output == "label":
            np.testing.assert_array_equal(found, by_skl2onnx[output])
        else:
            np.testing.assert_allclose(found, by_skl2onnx[output], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NOT_BY_HUMMINGBIRD)
def test_what_hummingbird_cannot_convert_is_refused(name):
    pytest.importorskip("hummingbird.ml", reason="Hummingbird is not installed")
    needs_library(name)
    case = fitted(name)
    with pytest.raises(ExporterError, match=NOT_BY_HUMMINGBIRD[name]):
        sklearn_to_onnx(case.model, case.X_train, via="hummingbird")


def test_hummingbird_needs_samples():
    with pytest.raises(ExporterError, match="needs samples"):
        sklearn_to_onnx(fitted("LogisticRegression").model, via="hummingbird")


@pytest.mark.parametrize(
    ("name", "data", "parameters"),
    [
        ("SGDClassifier", "iris", {"loss": "hinge"}),
        ("SGDClassifier", "iris", {"loss": "modified_huber"}),
        ("SGDClassifier", "breast cancer", {"loss": "modified_huber"}),
        ("SGDClassifier", "breast cancer", {}),
        ("LogisticRegression", "wine", {}),
        ("LogisticRegression", "breast cancer", {"solver": "liblinear"}),
        ("LogisticRegression", "iris", {"fit_intercept": False}),
        ("LinearDiscriminantAnalysis", "breast cancer", {}),
        ("LinearSVC", "breast cancer", {}),
        ("SVC", "iris", {}),
        ("SVC", "digits", {}),
        ("SVC", "wine", {"decision_function_shape": "ovo"}),
        ("SVC", "wine", {"break_ties": True}),
        ("SVC", "wine", {"kernel": "linear"}),
        ("SVC", "breast cancer", {"kernel": "poly", "coef0": 1.0}),
        ("SVC", "iris", {"kernel": "sigmoid"}),
        ("SVR", "diabetes", {"kernel": "linear"}),
        ("GaussianNB", "iris", {}),
        ("KNeighborsClassifier", "breast cancer", {"n_neighbors": 1}),
        ("MLPClassifier", "iris", {"activation": "tanh"}),
        ("TweedieRegressor", "diabetes", {"power": 0.0}),
        ("GradientBoostingClassifier", "iris", {}),
        ("GradientBoostingClassifier", "breast cancer", {"loss": "exponential"}),
        ("HistGradientBoostingClassifier", "breast cancer", {}),
        ("HistGradientBoostingRegressor", "diabetes", {"loss": "poisson"}),
        ("XGBClassifier", "iris", {}),
        ("XGBClassifier", "breast cancer", {"base_score": 0.25}),
        ("XGBRegressor", "diabetes", {"objective": "count:poisson"}),
        ("LGBMClassifier", "iris", {}),
        ("LGBMRegressor", "diabetes", {"objective": "poisson"}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_other_parameters_agree(name, data, parameters):
    needs_library(name)
    X_train, X_test, y_train, _ = split(data, CASES[name].scaled)
    estimator = make(name, **parameters).fit(X_train, y_train)
    check_agreement(sklearn_to_onnx(estimator, X_train), estimator, X_test)


def test_features_of_next_to_no_variance_agree():
    X, y = load_digits(return_X_y=True)  # many pixels are always 0 in a class
    X = X.astype(np.float32)
    estimator = make("GaussianNB").fit(X, y)
    check_agreement(sklearn_to_onnx(estimator, X), estimator, X)


def test_scores_far_below_zero_agree():
    X, y = load_digits(return_X_y=True)  # the logistic function vanishes in float32, or float64
    X = X.astype(np.float32)
    estimator = make("SGDClassifier").fit(X, y)
    check_agreement(sklearn_to_onnx(estimator, X), estimator, X, tolerance=1e-3)


@pytest.mark.parametrize(
    "name",
    ["LinearRegression", "Ridge", "Lasso", "MLPRegressor", "DecisionTreeRegressor",
     "RandomForestRegressor", "XGBRegressor"],
)  # fmt: skip
def test_several_targets_agree(name):
    needs_library(name)
    X_train, X_test, y_train, _ = split("diabetes")
    both = np.stack([y_train, y_train[::-1] / 2], axis=1)
    estimator = make(name).fit(X_train, both)
    model = sklearn_to_onnx(estimator, X_train)
    check_agreement(model, estimator, X_test)
    assert run(model, X_test)["variable"].shape == (len(X_test), 2)


@pytest.mark.parametrize(
    "labels",
    [np.array(["no", "yes"]), np.array(["b", "a"], dtype=object), np.array([-1, 5]),
     np.array([False, True]), np.array([1.0, 2.0])],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["LinearDiscriminantAnalysis", "GaussianNB", "LGBMClassifier"])
def test_labels_are_the_estimators_own(labels, name):
    needs_library(name)
    X_train, X_test, y_train, _ = split("breast cancer")
    estimator = make(name).fit(X_train, labels[y_train])
    check_agreement(sklearn_to_onnx(estimator, X_train), estimator, X_test)


def test_thresholds_are_rounded_down():
    between = np.nextafter(np.float32(0.1), np.float32(1)).astype(np.float64) - 1e-12
    exact, nearest = rounded_down(np.array([0.25, between]))
    assert exact == 0.25
    assert np.float64(nearest) <= between < np.nextafter(nearest, np.float32(1))
    assert np.float32(between) > nearest  # which is what the nearest would have been


@pytest.mark.parametrize("name", ["LGBMRegressor", "HistGradientBoostingRegressor"])
def test_samples_next_to_thresholds_agree(name):
    needs_library(name)
    rng = np.random.default_rng(0)
    # Neighbouring float32 numbers: every threshold lies between two of them.
    X = (1 + rng.integers(0, 40, (400, 2)) * np.finfo(np.float32).eps).astype(np.float32)
    y = X.astype(np.float64) @ [1e6, 2e6]
    estimator = make(name).fit(X, y)
    assert np.ptp(estimator.predict(X)) > 1
    check_agreement(sklearn_to_onnx(estimator, X), estimator, X)


def test_xgboost_may_know_features_by_name():
    needs_library("XGBClassifier")
    X_train, X_test, y_train, _ = split("iris", scaled=False)
    estimator = make("XGBClassifier").fit(X_train, y_train)
    plain = run(estimator.onnx_model, X_test)
    estimator = make("XGBClassifier").fit(X_train, y_train)
    estimator.get_booster().feature_names = ["width", "length", "height", "depth"]
    named = run(estimator.onnx_model, X_test)
    np.testing.assert_array_equal(plain["probabilities"], named["probabilities"])
    assert estimator.get_booster().feature_names[0] == "width"


# --- pipelines ---


@pytest.mark.parametrize(
    "steps",
    [
        (StandardScaler(),),
        (MinMaxScaler(),),
        (MaxAbsScaler(),),
        (RobustScaler(),),
        (StandardScaler(), PCA(8)),
        (FunctionTransformer(), PCA(8, whiten=True)),
        (make_pipeline(MinMaxScaler(), StandardScaler()), "passthrough"),
    ],
    ids=lambda steps: "-".join(getattr(type(s), "__name__", s) for s in steps),
)
def test_pipelines_become_one_model(steps):
    X_train, X_test, y_train, _ = split("breast cancer", scaled=False)
    estimator = make_pipeline(*steps, make("LogisticRegression")).fit(X_train, y_train)
    model = sklearn_to_onnx(estimator, X_train)
    assert [value.name for value in model.graph.input] == ["X"]
    check_agreement(model, estimator, X_test, tolerance=1e-4)


def test_the_best_of_a_search_is_converted():
    X_train, X_test, y_train, _ = split("iris")
    search = GridSearchCV(make("LogisticRegression"), {"C": [0.1, 1.0]}, cv=2)
    search.fit(X_train, y_train)
    check_agreement(sklearn_to_onnx(search, X_train), search, X_test)


def test_importers_take_fitted_estimators(monkeypatch):
    X_train, X_test, y_train, _ = split("iris")
    estimator = LogisticRegression().fit(X_train, y_train)
    importer = cml_importer()
    assert importer.accepts(estimator)
    assert importer.accepts(make("LogisticRegression"))
    assert not importer.accepts(X_train)
    model = importer.to_onnx(estimator, X_train)
    check_agreement(model, estimator, X_test)
    monkeypatch.setattr("cml_core.plugins.importer._known", lambda: (importer,))
    module = cml.NumpyModule.from_model(estimator, X_train)
    np.testing.assert_array_equal(module(X_test)[0], estimator.predict(X_test))


# --- what float32 holds ---

TIME = 1.7e9 + np.arange(300) * 3.0


@pytest.mark.parametrize(
    "name",
    ["HistGradientBoostingClassifier", "LGBMClassifier", "KNeighborsClassifier",
     "LogisticRegression"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_values_that_float32_cannot_tell_apart_are_refused(name):
    needs_library(name)
    X = np.stack([np.random.default_rng(0).normal(size=300), TIME], axis=1)
    blocks = np.arange(300) // 20 % 2 if name != "LogisticRegression" else np.arange(300) > 150
    estimator = make(name, **({"max_depth": None} if name.startswith("LGBM") else {}))
    if name == "LogisticRegression":
        estimator = make_pipeline(StandardScaler(), estimator)
    blocks = np.array(["no", "yes"])[blocks.astype(int)]
    estimator.fit(X, blocks)
    with pytest.raises(ExporterError, match=r"float32.* cannot tell values of feature 1 apart"):
        sklearn_to_onnx(estimator, X)
    with pytest.raises(ExporterError, match="Subtract an offset"):
        compile_sklearn_model(estimator, X, compile=False)
    estimator.fit(X - [0.0, TIME[0]], blocks)
    check_agreement(
        sklearn_to_onnx(estimator, X - [0.0, TIME[0]]),
        estimator,
        (X - [0.0, TIME[0]]).astype(np.float32),
        tolerance=1e-3,
    )


def test_the_error_names_the_feature():
    X = np.stack([TIME % 7, TIME], axis=1)
    estimator = make("HistGradientBoostingRegressor").fit(X, np.sin(TIME))
    estimator.feature_names_in_ = np.array(["size", "time"], dtype=object)
    with pytest.raises(ExporterError, match="values of feature 'time' apart"):
        estimator.quantize(X)


def test_float32_is_told_of_pipelines_that_are_compiled():
    estimator = make_pipeline(StandardScaler(), make("LinearRegression"))
    estimator.fit(TIME[:, None], TIME - TIME[0])
    with pytest.raises(ExporterError, match=r"differs .* float32"):
        compile_sklearn_model(estimator, TIME[:, None], compile=False)


@pytest.mark.parametrize("name", ["HistGradientBoostingRegressor", "LGBMRegressor",
                                  "DecisionTreeRegressor"])  # fmt: skip
def test_samples_on_thresholds_are_no_fault_of_float32(name):
    needs_library(name)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2))  # thresholds that are samples, which float32 moves to and fro
    parameters = {"max_iter": 100} if name.startswith("Hist") else {}
    estimator = make(name, **parameters, max_depth=None).fit(X, X.sum(axis=1) + np.sin(9 * X[:, 0]))
    assert sklearn_to_onnx(estimator, X)


# --- refusals ---


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("KNeighborsClassifier", {"metric": "manhattan"}, "Euclidean"),
        ("KNeighborsClassifier", {"weights": "distance"}, "uniform"),
        ("SVC", {"kernel": lambda a, b: a @ b.T}, "kernel="),
        ("HistGradientBoostingClassifier", {"categorical_features": [0]}, "categorical"),
    ],
)
def test_what_has_no_form_in_onnx_is_refused(name, parameters, reason):
    X_train, _, y_train, _ = split("iris")
    X = np.round(np.abs(X_train)) if "categorical_features" in parameters else X_train
    estimator = make(name, **parameters).fit(X, y_train)
    with pytest.raises(ExporterError, match=reason):
        sklearn_to_onnx(estimator, X)


@pytest.mark.parametrize("name", ["DecisionTreeClassifier", "MLPClassifier"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classifiers_of_several_outputs_are_refused(name):
    X_train, _, y_train, _ = split("iris")
    estimator = make(name).fit(X_train, np.stack([y_train > 0, y_train > 1], axis=1))
    with pytest.raises(ExporterError, match="several outputs"):
        sklearn_to_onnx(estimator)


def wrong_by_converters():
    """Estimators whose converters give other predictions."""
    wine, disease = split("wine"), split("diabetes")
    rising = (disease[2] - disease[2].min()) / np.ptp(disease[2])
    bag = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "random_state": 0}
    forest = {"num_parallel_tree": 3, "subsample": 0.5, "random_state": 0}
    return {
        "forests": ("XGBClassifier", forest, wine[0], wine[2]),
        "logistic": ("XGBRegressor", {"objective": "reg:logistic"}, disease[0], rising),
        "rf": ("LGBMRegressor", bag, disease[0], disease[2]),
        "rf of classes": ("LGBMClassifier", bag, wine[0], wine[2]),
        "linear": ("LGBMRegressor", {"linear_tree": True}, disease[0], disease[2]),
    }


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", ["forests", "logistic", "rf", "rf of classes", "linear"])
def test_without_samples_some_are_drawn_for_the_check(kind, scaled):
    name, parameters, X, y = wrong_by_converters()[kind]
    needs_library(name)
    estimator = make(name, **parameters)
    if scaled:
        estimator, X = make_pipeline(StandardScaler(), estimator), 1000 + 50 * X
    estimator.fit(X, y)
    for ask in (lambda: sklearn_to_onnx(estimator), lambda: sklearn_to_onnx(estimator, X)):
        with pytest.raises(ExporterError, match="differs from the estimator's"):
            ask()
    if not scaled:
        with pytest.raises(ExporterError, match="that were drawn, as X is not given"):
            estimator.onnx_model  # noqa: B018


def test_samples_are_drawn_between_thresholds_and_through_transformers():
    rng = np.random.default_rng(0)
    X = 1e4 + rng.normal(size=(200, 3))
    estimator = make_pipeline(StandardScaler(), make("DecisionTreeRegressor")).fit(X, X[:, 1])
    model = sklearn_to_onnx(estimator)
    blocks = list(drawn_samples(model, [estimator[0]], 3))
    assert np.concatenate(blocks).shape == (256, 3)
    drawn = np.concatenate(blocks)[:, 1]
    assert X[:, 1].min() - 3 < drawn.min() < drawn.max() < X[:, 1].max() + 3
    assert len(np.unique(estimator.predict(np.concatenate(blocks)))) == 16  # all leaves
    again = list(drawn_samples(model, [estimator[0]], 3))
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(again))


def test_an_estimator_that_refuses_what_is_drawn_is_not_checked(monkeypatch):
    X_train, _, y_train, _ = split("iris")
    estimator = Ridge().fit(X_train, y_train)
    expected = sklearn_to_onnx(estimator, X_train)

    def refuse(self, X):
        if len(X) > 1:
            raise ValueError("categories that were not seen")
        return predict(self, X)

    predict = Ridge.predict
    monkeypatch.setattr(Ridge, "predict", refuse)
    assert sklearn_to_onnx(estimator) == expected


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
@pytest.mark.filterwarnings("ignore")
def test_boosters_that_have_no_converter_are_named(booster):
    needs_library("XGBRegressor")
    X_train, _, y_train, _ = split("diabetes")
    estimator = make("XGBRegressor", booster=booster, max_depth=None).fit(X_train, y_train)
    with pytest.raises(ExporterError, match=f"booster='{booster}' is not supported") as caught:
        sklearn_to_onnx(estimator)
    assert "hummingbird" not in str(caught.value)


def test_transformers_alone_are_refused():
    with pytest.raises(ExporterError, match="neither a classifier nor a regressor"):
        sklearn_to_onnx(StandardScaler().fit(split("iris")[0]))


def test_unfitted_estimators_are_refused():
    with pytest.raises(NotFittedError):
        sklearn_to_onnx(make("Ridge"))


def test_the_number_of_features_must_be_known():
    X_train, _, y_train, _ = split("iris")
    # With a kernel of its own, an SVC may take anything.
    estimator = make("SVC", kernel=lambda a, b: a @ b.T).fit(X_train, y_train)
    with pytest.raises(ExporterError, match="only X can tell"):
        sklearn_to_onnx(estimator)


def test_other_converters_are_refused():
    with pytest.raises(ConfigError, match="'skl2onnx', 'hummingbird'"):
        sklearn_to_onnx(fitted("Ridge").model, via="pmml")


def test_estimators_without_a_converter_are_refused():
    class Guess(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
            return self

    X_train, _, y_train, _ = split("iris")
    with pytest.raises(ExporterError, match="Guess") as caught:
        sklearn_to_onnx(Guess().fit(X_train, y_train))
    assert "via='hummingbird'" not in str(caught.value)


@pytest.mark.parametrize("scaled", [True, False])
def test_hummingbird_is_named_where_it_knows_all_parts(scaled, monkeypatch):
    supported = pytest.importorskip("hummingbird.ml.supported")
    X_train, _, y_train, _ = split("iris")
    estimator = make_pipeline(StandardScaler(), make("LogisticRegression")).fit(X_train, y_train)
    if not scaled:
        monkeypatch.delitem(supported.sklearn_api_operator_name_map, StandardScaler)
    monkeypatch.setattr(library, "_convert", lambda *args: 1 / 0)
    with pytest.raises(ExporterError, match="division by zero") as caught:
        sklearn_to_onnx(estimator, X_train)
    assert ("via='hummingbird'" in str(caught.value)) is scaled


def test_classifiers_without_a_row_need_probabilities():
    X_train, _, y_train, _ = split("iris")
    with pytest.raises(ExporterError, match="probabilities"):
        sklearn_to_onnx(RidgeClassifier().fit(X_train, y_train), X_train)


def test_a_converter_that_gives_other_predictions_is_refused(monkeypatch):
    convert = library._convert

    def wrong(*args):
        model = convert(*args)
        for attribute in model.graph.node[0].attribute:
            if attribute.name == "coefficients":
                attribute.floats[0] += 100.0
        return model

    monkeypatch.setattr(library, "_convert", wrong)
    case = fitted("Ridge")
    with pytest.raises(ExporterError, match=r"its variable differs .* 256 samples"):
        sklearn_to_onnx(case.model, case.X_train)


@pytest.mark.parametrize(
    ("name", "library", "extra", "via"),
    [
        ("Ridge", "skl2onnx", "sklearn", "skl2onnx"),
        ("XGBRegressor", "onnxmltools.convert.xgboost", "xgboost", "skl2onnx"),
        ("LGBMRegressor", "onnxmltools.convert.lightgbm", "lightgbm", "skl2onnx"),
        ("Ridge", "hummingbird.ml", "hummingbird", "hummingbird"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(name, library, extra, via, monkeypatch):
    needs_library(name)
    case = fitted(name)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"cml\[{extra}\]"):
        sklearn_to_onnx(case.model, case.X_train, via=via)


def test_models_are_valid_and_say_their_shapes():
    case = fitted("LogisticRegression")
    model = case.model.onnx_model
    onnx.checker.check_model(model, full_check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # onnx has another printer now
        text = onnx.helper.printable_graph(model.graph)
    assert "%X[FLOAT, Nx30]" in text
    assert "return %label, %probabilities, %scores" in text
