"""Models of scikit-learn as skl2onnx writes them: in float beside onnxruntime, then on integers."""

from __future__ import annotations

import warnings

import attrs
import numpy as np
import pytest

import cml_core as cml
from tests.contrib.nodes import assert_same, session_of

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")
pytest.importorskip("onnxruntime")

from sklearn import linear_model, preprocessing, svm  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

NAMES = np.array(["setosa", "versicolor", "virginica"])


def _data():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order].astype(np.float32), y[order]


X, Y = _data()
#: Of zero mean and unit variance.
STANDARD = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
BOTH = (Y > 0).astype(np.int64)
CODES = X[:, :2].round().astype(np.int64)
MARKED = np.where(X[:, :2] < 2.5, -9, X[:, :2]).astype(np.float32)


@attrs.frozen(eq=False)
class Case:
    """An estimator, its data, and how far integers of 6 bits may be from float.

    `agree` is the least share of samples with the same label, or the same row of categories;
    `error` the largest error of numbers, of their range; `lookups` the most.
    """

    name: str
    estimator: object
    x: np.ndarray
    y: np.ndarray | None = None
    agree: float = 0.95
    error: float = 0.1
    lookups: int = 0


CASES = [
    Case("logistic regression, two", linear_model.LogisticRegression(), STANDARD, BOTH),
    Case("logistic regression", linear_model.LogisticRegression(), STANDARD, NAMES[Y]),
    Case("linear SVC, two", svm.LinearSVC(), STANDARD, NAMES[BOTH]),
    Case("linear SVC", svm.LinearSVC(), STANDARD, Y),
    Case("ridge, two targets", linear_model.Ridge(), STANDARD, X[:, :2]),
    Case("linear SVR", svm.LinearSVR(), STANDARD, X[:, 0]),
    Case("SVC, linear", svm.SVC(kernel="linear"), STANDARD, Y, error=1.0),
    Case("SVC, rbf, two", svm.SVC(C=10), STANDARD, NAMES[BOTH], lookups=20),
    Case("SVC, rbf", svm.SVC(), STANDARD, Y, error=1.0, lookups=64),
    Case("SVC, square", svm.SVC(kernel="poly", degree=2, coef0=1), STANDARD, Y, lookups=15),
    Case("SVC, cube", svm.SVC(kernel="poly"), STANDARD, Y, 0.9, error=1.0, lookups=60),
    Case("SVC, sigmoid", svm.SVC(kernel="sigmoid"), STANDARD, Y, 0.9, error=1.0, lookups=60),
    Case("SVR", svm.SVR(epsilon=0.3), STANDARD, X[:, 0], lookups=40),
    Case("one-class SVM", svm.OneClassSVM(nu=0.1), STANDARD, None, 0.85, error=1.0, lookups=30),
    Case("standard scaler", preprocessing.StandardScaler(), X),
    Case("min-max scaler", preprocessing.MinMaxScaler(), X),
    Case("robust scaler", preprocessing.RobustScaler(), X),
    Case("normalizer, l1", preprocessing.Normalizer("l1"), X, error=0.15, lookups=9),
    Case("normalizer, l2", preprocessing.Normalizer("l2"), X, lookups=9),
    Case("normalizer, max", preprocessing.Normalizer("max"), X, lookups=9),
    Case("binarizer", preprocessing.Binarizer(threshold=2.0), X, error=0.0),
    Case("imputer", SimpleImputer(missing_values=-9.0), MARKED),
    Case("ordinal", preprocessing.OrdinalEncoder(), CODES, error=0.0),
    Case("ordinal, floats", preprocessing.OrdinalEncoder(), CODES.astype(np.float32), error=0.0),
    Case("one-hot", preprocessing.OneHotEncoder(sparse_output=False), CODES, error=0.0),
    Case(
        "bins",
        preprocessing.KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"),
        X,
        error=1.0,
        lookups=40,
    ),
    Case("MLP", MLPClassifier((5,), max_iter=400, random_state=0), STANDARD, NAMES[Y], lookups=5),
    Case(
        "normalizer, regression",
        make_pipeline(preprocessing.Normalizer(), linear_model.LogisticRegression(C=10)),
        X,
        NAMES[Y],
        lookups=13,
        error=0.15,
    ),
    Case(
        "scaler, SVC",
        make_pipeline(preprocessing.StandardScaler(), svm.SVC()),
        X,
        NAMES[Y],
        error=1.0,
        lookups=64,
    ),
    Case(
        "one-hot, regression",
        make_pipeline(preprocessing.OneHotEncoder(), linear_model.LogisticRegression()),
        CODES,
        Y,
        lookups=20,
    ),
]


def converted(estimator, x, y=None, **options):
    """A fitted estimator as ONNX, without a map of probabilities."""
    with warnings.catch_warnings():
        # These libraries warn of each other's changes.
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
        last = estimator[-1] if hasattr(estimator, "steps") else estimator
        has_maps = hasattr(last, "predict_proba") or isinstance(last, svm.SVC)
        plain = {id(last): {"zipmap": False, **options}} if has_maps else None
        return skl2onnx.to_onnx(estimator, x[:1], options=plain)


def feeds_of(model, x):
    return {model.graph.input[0].name: x}


def compared(case, got, wanted):
    """Labels agree mostly, numbers are near."""
    for have, want in zip(got, wanted, strict=True):
        assert have.dtype == want.dtype
        assert have.shape == want.shape
        if want.ndim == 1 or want.dtype.kind != "f":
            assert np.mean(have == want) >= case.agree
        elif case.error < 1:
            span = np.ptp(want, axis=0).max() or 1.0
            assert np.abs(have - want).max() <= case.error * span


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_model_of_scikit_learn(case):
    model = converted(case.estimator, case.x, case.y)
    feeds = feeds_of(model, case.x)
    module = cml.NumpyModule.from_onnx(model)
    float_ = list(module.run(feeds).values())
    for mine, theirs in zip(float_, session_of(model).run(None, feeds), strict=True):
        assert_same(mine, theirs, 5e-5)
    quantized = cml.quantize(module, case.x, n_bits=6)
    assert quantized.report().lookups <= case.lookups
    compared(case, list(quantized.run(feeds).values()), float_)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_probabilities_of_a_support_vector_machine_are_the_clients(classes, kernel):
    y = NAMES[Y] if classes == 3 else NAMES[BOTH]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = svm.SVC(kernel=kernel, probability=True, random_state=0)
    model = converted(estimator, STANDARD, y)
    module = cml.NumpyModule.from_onnx(model)
    feeds = feeds_of(model, STANDARD)
    label, probability = module.run(feeds).values()
    wanted = session_of(model).run(None, feeds)
    assert_same(label, wanted[0])
    assert_same(probability, wanted[1], 1e-4)
    quantized = cml.quantize(module, STANDARD, n_bits=6)
    labels, probabilities = quantized.run(feeds).values()
    assert np.mean(labels == label) >= 0.95
    assert np.abs(probabilities - probability).mean() < 0.05
    assert quantized.report().lookups <= (0 if kernel == "linear" else 64)


def test_a_map_of_probabilities_is_made_by_the_client(tmp_path):
    estimator = linear_model.LogisticRegression()
    model = converted(estimator, STANDARD, NAMES[Y], zipmap=True)
    module = cml.NumpyModule.from_onnx(model)
    feeds = feeds_of(model, STANDARD)
    label, maps = module.run(feeds).values()
    wanted = session_of(model).run(None, feeds)
    assert_same(label, wanted[0])
    for mine, theirs in zip(maps, wanted[1], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    quantized = cml.quantize(module, STANDARD, n_bits=6)
    quantized.save(tmp_path / "model.cml")
    again = cml.QuantizedModule.load(tmp_path / "model.cml")
    for each in (quantized, again):
        labels, found = each.run(feeds).values()
        assert np.mean(labels == label) >= 0.95
        assert (
            np.mean([found[k][name] - maps[k][name] for k in range(150) for name in NAMES]) < 0.05
        )


def test_string_labels_are_exported():
    estimator = linear_model.LogisticRegression()
    model = converted(estimator, STANDARD, NAMES[Y])
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), STANDARD, n_bits=6)
    feeds = feeds_of(model, STANDARD)
    label, probability = session_of(quantized.to_onnx()).run(None, feeds)
    wanted = list(quantized.run(feeds).values())
    assert_same(label, wanted[0])
    assert_same(probability, wanted[1])


SIMULATED = {
    "logistic regression": linear_model.LogisticRegression(),
    "SVC, rbf": svm.SVC(),
    "MLP": MLPClassifier((3,), max_iter=400, random_state=0),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_simulation_gives_the_clear_integers(name, needs_compiler):
    x, y = STANDARD[:, 2:], NAMES[BOTH]
    model = converted(SIMULATED[name], x, y)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), x, n_bits=3)
    circuit = quantized.compile()
    some = feeds_of(model, x[:5])
    for simulated, clear in zip(
        circuit.simulate(some).values(), quantized.run(some).values(), strict=True
    ):
        np.testing.assert_array_equal(simulated, clear)


@pytest.mark.fhe
def test_an_encrypted_prediction_names_the_flower(encrypts_quickly, key_cache):
    x, y = STANDARD[:, 2:], NAMES[Y]
    model = converted(linear_model.LogisticRegression(), x, y)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), x, n_bits=4)
    circuit = quantized.compile(key_cache=key_cache)
    circuit.keygen()
    some = feeds_of(model, x[:3])
    label, probability = circuit.run(some).values()
    wanted = list(quantized.run(some).values())
    np.testing.assert_array_equal(label, wanted[0])
    np.testing.assert_array_equal(probability, wanted[1])
    assert set(label) <= set(NAMES)
