"""The estimators as scikit-learn sees them, and on integers."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import cml_core as cml
import cml_frontends.sklearn as front
from cml_core.errors import CmlError, ConfigError, MissingLibraryError
from cml_frontends.sklearn import (
    NotQuantizedError,
    compile_sklearn_model,
    from_fitted,
    sklearn_to_onnx,
)
from cml_frontends.sklearn.table import ROWS
from tests.frontends.estimators import CASES, fitted, make, needs_library, split

by_name = pytest.mark.parametrize("name", CASES)
SAMPLE_WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "its solver draws samples at random"
    for kind in ("dense", "sparse")
}
ZERO_WEIGHTS = {"check_all_zero_sample_weights_error": "the library fits without complaint"}
#: Checks that the originals fail as well, and why.
EXPECTED = {
    "Ridge": {"check_non_transformer_estimators_n_iter": "a direct solver has no iterations"},
    **dict.fromkeys(
        ["SGDRegressor", "SGDClassifier", "Perceptron", "LinearSVC", "LinearSVR", "SVC", "SVR",
         "RandomForestClassifier", "RandomForestRegressor"],
        SAMPLE_WEIGHTS,
    ),
    "GradientBoostingRegressor": {
        **SAMPLE_WEIGHTS, "check_regressors_train": "three small trees do not fit the data"
    },
    "XGBRegressor": {
        **ZERO_WEIGHTS, "check_regressor_multioutput": "a single target does not stay a column"
    },
    "LGBMClassifier": {
        **ZERO_WEIGHTS, "check_no_attributes_set_in_init": "the library sets private ones"
    },
    "LGBMRegressor": {
        **ZERO_WEIGHTS,
        "check_no_attributes_set_in_init": "the library sets private ones",
        "check_regressors_train": "its leaves hold twenty samples or more",
    },
}  # fmt: skip
#: Estimators that scikit-learn's checks are not run on, and why.
UNCHECKED = {
    "XGBClassifier": "the original fails a dozen of them",
    "MLPClassifier": "takes half a minute",
    "MLPRegressor": "takes half a minute",
    "HistGradientBoostingClassifier": "takes a minute",
    "HistGradientBoostingRegressor": "takes a minute",
    "PoissonRegressor": "as TweedieRegressor, and slow",
    "GammaRegressor": "as TweedieRegressor, and slow",
    "TweedieRegressor": "takes a quarter of a minute",
}


def checked():
    """Small estimators for scikit-learn's checks, as far as their libraries are installed."""
    for name in ROWS.keys() - UNCHECKED:
        try:
            estimator = getattr(front, name)()
        except MissingLibraryError:
            continue
        if "n_estimators" in estimator.get_params():
            estimator.set_params(n_estimators=3)
        yield estimator.set_params(verbose=-1) if name.startswith("LGBM") else estimator


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks provoke warnings
@parametrize_with_checks(
    sorted(checked(), key=repr), expected_failed_checks=lambda e: EXPECTED.get(type(e).__name__, {})
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@by_name
def test_classes_are_the_originals_with_more_parameters(name):
    needs_library(name)
    cls, row = getattr(front, name), ROWS[name]
    original = getattr(importlib.import_module(row.module), name)
    assert issubclass(cls, original)
    assert cls is getattr(front, name)
    assert (cls.__module__, cls.__qualname__) == ("cml_frontends.sklearn", name)
    ours, theirs = (inspect.signature(c).parameters for c in (cls, original))
    own = {"n_bits", "encoding"} if row.has_trees else {"n_bits"}
    assert ours.keys() - theirs.keys() == own
    assert theirs.keys() <= ours.keys()
    assert "n_bits" in cls.__doc__
    parameters = cls(n_bits=3).get_params()
    assert parameters.pop("n_bits") == 3
    if row.has_trees:
        assert parameters.pop("encoding") is None
    assert parameters.keys() == original().get_params().keys()


@by_name
def test_copies_are_alike(name):
    needs_library(name)
    case = fitted(name)
    for other in (clone(case.model), copy.copy(case.model), copy.deepcopy(case.model)):
        assert repr(other) == repr(case.model)
    again = pickle.loads(pickle.dumps(case.model))
    assert type(again) is type(case.model)
    np.testing.assert_array_equal(again.predict(case.X_test), case.model.predict(case.X_test))
    with pytest.raises(NotFittedError):
        clone(case.model).quantize(case.X_train)


@by_name
def test_integers_are_as_accurate_as_floats(name):
    needs_library(name)
    case = fitted(name)
    model = copy.copy(case.model)
    in_floats = model.score(case.X_test, case.y_test)
    model.quantize(case.X_train)
    assert model.score(case.X_test, case.y_test) >= in_floats - 0.01
    assert model.predict(case.X_test).dtype == case.model.predict(case.X_test).dtype
    assert model.predict(case.X_test).shape == case.model.predict(case.X_test).shape
    for method in ("predict_proba", "decision_function"):
        assert hasattr(model, method) == hasattr(model._original, method) or name == "SVC"
        if hasattr(model, method):
            floats = getattr(case.model, method)(case.X_test)
            assert getattr(model, method)(case.X_test).shape == floats.shape


@by_name
@pytest.mark.usefixtures("needs_compiler")
def test_simulation_gives_the_same_integers(name):
    needs_library(name)
    case = fitted(name)
    model = copy.copy(case.model)
    model.compile(case.X_train)
    X = case.X_test[:3]
    np.testing.assert_array_equal(model.predict(X, fhe="simulate"), model.predict(X))


@pytest.mark.parametrize("encoding", ["thermometer", "bins", "uniform"])
def test_trees_choose_how_features_are_encoded(encoding):
    X_train, X_test, y_train, _ = split("iris", scaled=False)
    model = make("DecisionTreeClassifier", encoding=encoding, n_bits=6).fit(X_train, y_train)
    expected = model.predict(X_test)
    model.quantize(X_train)
    share = np.mean(model.predict(X_test) == expected)
    assert share == 1.0 if encoding != "uniform" else share >= 0.9
    with pytest.raises(ConfigError, match="'thermometer'"):
        model.set_params(encoding="one-hot").quantize(X_train)


@by_name
def test_wrong_parameters_are_refused_before_the_training_and_not_by_the_constructor(name):
    needs_library(name)
    X, y = np.zeros((4, 2), np.float32), np.arange(4)
    wrong = [{"n_bits": 0}, {"n_bits": 17}, {"n_bits": "four"}]
    for parameters in (*wrong, {"encoding": "one-hot"})[: 4 if ROWS[name].has_trees else 3]:
        model = make(name, **parameters)
        ((parameter, value),) = parameters.items()
        for train in (model.fit, getattr(model, "partial_fit", model.fit)):
            with pytest.raises(ConfigError, match=f"{parameter}={value!r}"):
                train(X, y)
        with pytest.raises(NotFittedError):
            check_is_fitted(model)


def test_an_estimator_is_the_original_until_it_is_quantized():
    X_train, X_test, y_train, _ = split("wine")
    model = make("SGDClassifier").fit(X_train, y_train)
    original = model._original(**CASES["SGDClassifier"].parameters).fit(X_train, y_train)
    for method in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(
            getattr(model, method)(X_test), getattr(original, method)(X_test)
        )
    np.testing.assert_array_equal(model.coef_, original.coef_)
    in_floats = model.decision_function(X_test)
    quantized = model.quantize(X_train)
    assert model.quantized_module is quantized
    on_integers = model.decision_function(X_test)
    assert not np.array_equal(on_integers, in_floats)
    # Features of some samples are beyond all that calibration saw.
    close = np.isclose(on_integers, in_floats, atol=0.01 * np.abs(in_floats).max(), rtol=0.0)
    assert close.mean() > 0.9
    assert pickle.loads(pickle.dumps(model))._compiled is None
    model.partial_fit(X_train, y_train)
    with pytest.raises(NotQuantizedError):
        model.quantized_module  # noqa: B018


@pytest.mark.parametrize("name", ["XGBClassifier", "XGBRegressor"])
def test_a_model_that_is_loaded_replaces_what_was_quantized(name, tmp_path):
    needs_library(name)
    X_train, X_test, y_train, _ = split("breast cancer", scaled=False)
    make(name).fit(X_train, 1 - y_train).save_model(tmp_path / "model.json")
    model = make(name).fit(X_train, y_train)
    before = model.predict(X_test)
    model.quantize(X_train)
    model.load_model(tmp_path / "model.json")
    assert np.mean(np.round(model.predict(X_test)) == np.round(before)) < 0.2
    with pytest.raises(NotQuantizedError):
        model.quantized_module  # noqa: B018
    model.quantize(X_train)
    assert np.mean(np.round(model.predict(X_test)) == np.round(before)) < 0.2


@pytest.mark.parametrize("change", ["attribute", "parameter", "state"])
@pytest.mark.parametrize("name", ["LogisticRegression", "SVC", "LGBMClassifier"])
def test_what_was_quantized_is_forgotten_when_the_estimator_changes(name, change):
    needs_library(name)
    X_train, _, y_train, _ = split("iris")
    model = make(name).fit(X_train, y_train)
    model.quantize(X_train)
    quantized, graph = model.quantized_module, model.onnx_model
    idle = {"n_jobs": 2} if name == "LGBMClassifier" else {"verbose": False}
    model.set_params(n_bits=3, **idle)
    model.set_params(random_state=model.get_params()["random_state"])
    assert model.quantized_module is quantized  # these say nothing of its predictions
    state = clone(model).fit(X_train, y_train[::-1]).__getstate__()
    {
        "attribute": lambda: setattr(model, "n_features_in_", np.int64(4)),
        "parameter": lambda: model.set_params(class_weight="balanced"),
        "state": lambda: model.__setstate__(state),
    }[change]()
    with pytest.raises(NotQuantizedError):
        model.quantized_module  # noqa: B018
    assert model.onnx_model is not graph


def test_what_is_missing_is_said():
    X_train, X_test, y_train, _ = split("iris")
    model = make("LinearSVC")
    for ask in (
        lambda: model.onnx_model,
        lambda: model.quantize(X_train),
        lambda: model.quantized_module,
        lambda: model.fhe_circuit,
        lambda: model.predict(X_test, fhe="simulate"),
    ):
        with pytest.raises(NotFittedError):
            ask()
    model.fit(X_train, y_train)
    assert model.numpy_module(X_test)[0].shape == (len(X_test),)
    for ask in (
        lambda: model.quantized_module,
        lambda: model.fhe_circuit,
        lambda: model.compile(),
        lambda: model.keygen(),
        lambda: model.predict(X_test, fhe="execute"),
    ):
        with pytest.raises(NotQuantizedError, match="compile"):
            ask()
    model.quantize(X_train)
    with pytest.raises(NotQuantizedError, match=r"no circuit yet. Call compile\(\) first"):
        model.predict(X_test, fhe="execute")
    with pytest.raises(ConfigError, match="'disable', 'simulate', 'execute'"):
        model.predict(X_test, fhe="yes")
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((1, 4), np.nan))
    with pytest.raises(CmlError, match="shape"):
        model.predict(X_test[:, :2])


def test_options_of_the_original_are_for_floats():
    needs_library("XGBClassifier")
    X_train, X_test, y_train, _ = split("iris", scaled=False)
    model = make("XGBClassifier").fit(X_train, y_train)
    assert model.predict(X_test, output_margin=True).shape == (len(X_test), 3)
    model.quantize(X_train)
    with pytest.raises(ConfigError, match="output_margin"):
        model.predict(X_test, output_margin=True)


def test_two_bits_say_most():
    for data, least in (("breast cancer", 0.92), ("iris", 0.9), ("wine", 0.92)):
        X_train, X_test, y_train, y_test = split(data)
        model = make("LogisticRegression", n_bits=2).fit(X_train, y_train)
        model.quantize(X_train)
        assert model.quantized_module.program.instructions[0].interval.high == 3
        assert model.score(X_test, y_test) >= least


def test_bits_may_be_a_whole_configuration():
    X_train, _, y_train, _ = split("iris")
    config = cml.QuantConfig(input_bits=3, weight_bits=4)
    model = make("LogisticRegression", n_bits=config).fit(X_train, y_train)
    assert clone(model).n_bits == config
    first = model.quantize(X_train).program.instructions[0]
    assert first.interval.high == 7
    with pytest.raises(ConfigError, match="n_bits"):
        model.set_params(n_bits=0).quantize(X_train)


def test_features_of_all_sizes_count():
    X_train, X_test, y_train, y_test = split("wine", scaled=False)
    assert np.ptp(X_train, axis=0).max() > 1000 * np.ptp(X_train, axis=0).min()
    model = make("LinearDiscriminantAnalysis").fit(X_train, y_train)
    in_floats = model.score(X_test, y_test)
    model.quantize(X_train)
    assert model.score(X_test, y_test) >= in_floats - 0.01


@pytest.mark.parametrize("name", ["LinearRegression", "MLPRegressor", "RandomForestRegressor"])
def test_several_targets_on_integers(name):
    X_train, X_test, y_train, _ = split("diabetes")
    both = np.stack([y_train, y_train[::-1] / 2], axis=1)
    model = make(name).fit(X_train, both)
    expected = model.predict(X_test)
    model.quantize(X_train)
    found = model.predict(X_test)
    assert found.shape == expected.shape == (len(X_test), 2)
    assert np.corrcoef(found[:, 0], expected[:, 0])[0, 1] > 0.99


def test_labels_may_be_strings():
    X_train, X_test, y_train, y_test = split("iris")
    names = np.array(["setosa", "versicolor", "virginica"])
    model = make("LogisticRegression").fit(X_train, names[y_train])
    model.quantize(X_train)
    found = model.predict(X_test)
    assert found.dtype == names.dtype
    assert np.mean(found == names[y_test]) > 0.9


# --- composition ---


@pytest.mark.usefixtures("needs_compiler")
def test_pipelines_hand_on_how_to_predict():
    X_train, X_test, y_train, _ = split("breast cancer", scaled=False)
    pipeline = make_pipeline(StandardScaler(), make("LogisticRegression", n_bits=4))
    pipeline.fit(X_train, y_train)
    pipeline[-1].compile(pipeline[:-1].transform(X_train))
    clear = pipeline.predict(X_test[:5])
    np.testing.assert_array_equal(pipeline.predict(X_test[:5], fhe="simulate"), clear)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_whole_pipeline_is_one_model():
    X_train, X_test, y_train, y_test = split("breast cancer", scaled=False)
    for final in (LogisticRegression(max_iter=1000), make("MLPClassifier")):
        pipeline = make_pipeline(StandardScaler(), final).fit(X_train, y_train)
        model = compile_sklearn_model(pipeline, X_train, compile=False)
        label, probabilities, *_ = model.predict(X_test)
        assert probabilities.shape == (len(X_test), 2)
        assert np.mean(label == y_test) >= pipeline.score(X_test, y_test) - 0.01


def test_hummingbird_leads_to_integers_too():
    pytest.importorskip("hummingbird.ml", reason="Hummingbird is not installed")
    case = fitted("MLPClassifier")
    model = compile_sklearn_model(case.model, case.X_train, via="hummingbird", compile=False)
    label, _ = model.predict(case.X_test)
    assert np.mean(label == case.y_test) >= case.model.score(case.X_test, case.y_test) - 0.01


@pytest.mark.parametrize("dataset", ["breast cancer", "digits"])
@pytest.mark.parametrize("thresholds", ["thermometer", "bins"])
def test_forests_by_hummingbird_decide_as_their_float_model(dataset, thresholds):
    pytest.importorskip("hummingbird.ml", reason="Hummingbird is not installed")
    X_train, X_test, y_train, _ = split(dataset, scaled=False)
    forest = RandomForestClassifier(10, max_depth=4, random_state=0).fit(X_train, y_train)
    reports = {}
    for via in ("skl2onnx", "hummingbird"):
        module = cml.NumpyModule.from_onnx(sklearn_to_onnx(forest, X_train, via=via))
        quantized = cml.quantize(module, X_train, cml.QuantConfig(thresholds=thresholds))
        labels, probabilities = quantized(X_test)
        np.testing.assert_array_equal(labels, forest.predict(X_test))
        np.testing.assert_allclose(probabilities, forest.predict_proba(X_test), atol=2e-3)
        reports[via] = quantized.report()
    assert reports["hummingbird"].complexity < 2.5 * reports["skl2onnx"].complexity


def test_searches_find_bits():
    X_train, _, y_train, _ = split("wine")

    def on_integers(model, X, y):
        model.quantize(X)
        return model.score(X, y)

    search = GridSearchCV(
        make("LinearDiscriminantAnalysis"), {"n_bits": [1, 6]}, cv=2, scoring=on_integers
    )
    assert search.fit(X_train, y_train).best_params_ == {"n_bits": 6}


def test_fitted_originals_are_taken_over():
    case = fitted("LogisticRegression")
    original = LogisticRegression(max_iter=1000).fit(case.X_train, case.y_train)
    model = from_fitted(original, case.X_train, n_bits=6)
    assert isinstance(model, front.LogisticRegression)
    assert model.n_bits == 6
    assert model.max_iter == 1000
    assert model.score(case.X_test, case.y_test) >= original.score(case.X_test, case.y_test) - 0.01
    same = front.LogisticRegression.from_fitted(original, case.X_train, n_bits=6)
    np.testing.assert_array_equal(
        same.decision_function(case.X_test), model.decision_function(case.X_test)
    )
    trees = fitted("DecisionTreeClassifier")
    assert from_fitted(trees.model, trees.X_train, encoding="bins").encoding == "bins"
    with pytest.raises(ConfigError, match="a fitted LogisticRegression"):
        front.LogisticRegression.from_fitted(trees.model, trees.X_train)
    with pytest.raises(ConfigError, match="compile_sklearn_model"):
        from_fitted(RidgeClassifier().fit(case.X_train, case.y_train), case.X_train)


# --- the package ---


def test_the_package_lists_its_names():
    assert {"LogisticRegression", "XGBClassifier", "from_fitted"} <= set(dir(front))
    with pytest.raises(AttributeError, match="has no attribute 'Oracle'"):
        front.Oracle  # noqa: B018


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [("Ridge", "sklearn", "sklearn"), ("XGBClassifier", "xgboost", "xgboost"),
     ("LGBMClassifier", "lightgbm", "lightgbm")],
)  # fmt: skip
def test_a_library_that_is_missing_is_named(name, library, extra, monkeypatch):
    from cml_frontends.sklearn.generation import estimator_class

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"cml\[{extra}\]"):
        estimator_class.__wrapped__(name)


def test_fitting_warns_as_the_original_does():
    X_train, _, y_train, _ = split("digits")
    with pytest.warns(ConvergenceWarning):
        make("MLPClassifier", max_iter=1).fit(X_train, y_train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make("LogisticRegression").fit(X_train, y_train)
