"""skorch's nets, trained in floats, that predict on integers and on encrypted data."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import ConfigError, MissingLibraryError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
skorch = pytest.importorskip("skorch", reason="skorch is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from torch import nn  # noqa: E402

import cml_frontends.torch  # noqa: E402
from cml_frontends.skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402

torch.set_num_threads(1)  # the nets are small, and tests run side by side
pytestmark = pytest.mark.filterwarnings("ignore::cml_core.quantization.client.SaturationWarning")


@pytest.fixture(scope="module", autouse=True)
def the_faster_exporter():
    """TorchScript's; that both of them give the same is for the tests of PyTorch."""
    with pytest.MonkeyPatch.context() as patch:
        faster = {"torchscript": cml_frontends.torch._EXPORTERS["torchscript"]}
        patch.setattr(cml_frontends.torch, "_EXPORTERS", faster)
        yield


class Net(nn.Module):
    def __init__(self, hidden=3, outputs=2):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, hidden), nn.Dropout(0.1), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, x):
        return self.body(x)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 1), nn.Linear(1, 1)

    def forward(self, left, right):
        return self.left(left) + self.right(right), left


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).uniform(-1, 1, (120, 3)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


CLASSIFIER = {
    "criterion": nn.CrossEntropyLoss,
    "max_epochs": 8,
    "lr": 0.3,
    "batch_size": 16,
    "verbose": 0,
}


def classifier(**options):
    torch.manual_seed(0)
    return NeuralNetClassifier(Net, **CLASSIFIER, **options)


@pytest.fixture(scope="module")
def fitted(data):
    return classifier(n_bits=5).fit(*data)


def test_a_fitted_classifier_predicts_on_integers(fitted, data):
    X, y = data
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    logits = fitted.quantized_module(X)
    np.testing.assert_array_equal(fitted.predict(X), logits.argmax(axis=1))
    np.testing.assert_allclose(fitted.numpy_module(X), fitted.forward(X), atol=1e-5)
    assert np.abs(fitted.forward(X).numpy() - logits).max() > 0
    assert fitted.score(X, y) > 0.9
    assert fitted.fhe_circuit is None
    assert fitted.onnx_model.graph.input[0].name == "x"


def test_no_samples_give_no_predictions(fitted, data):
    nothing = data[0][:0]
    for method in (fitted.predict, fitted.predict_proba):
        one, none = method(data[0][:1]), method(nothing)
        assert none.shape == (0, *one.shape[1:])
        assert none.dtype == one.dtype


def test_simulation_needs_a_circuit(fitted, data):
    with pytest.raises(ConfigError, match="until the model is compiled"):
        fitted.predict(data[0], fhe="simulate")
    with pytest.raises(ConfigError, match="'execute'"):
        fitted.predict(data[0], fhe="encrypted")


@pytest.mark.usefixtures("encrypts_quickly")
def test_a_compiled_classifier_simulates_and_is_copied_without_its_circuit(data):
    X, y = data
    net = classifier(config=cml.QuantConfig.with_bits(3)).fit(X, y)
    assert net.compile(X, p_error=2.0**-20) is net.fhe_circuit
    expected = net.predict_proba(X)
    np.testing.assert_array_equal(net.predict_proba(X, fhe="simulate"), expected)
    copied = copy.deepcopy(net)
    np.testing.assert_allclose(copied.forward(X), net.forward(X))
    np.testing.assert_array_equal(copied.predict_proba(X), expected)
    assert copied.fhe_circuit is None
    with pytest.raises(ConfigError, match="until the model is compiled"):
        copied.predict(X, fhe="simulate")
    assert pickle.loads(pickle.dumps(clone(net))).config == net.config


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_predicts_on_the_same_integers(fitted, data, copied):
    X, y = data
    again = copied(fitted)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(again.quantized_module(X), fitted.quantized_module(X))
    np.testing.assert_array_equal(again.numpy_module(X), fitted.numpy_module(X))
    assert again.onnx_model == fitted.onnx_model
    assert copied(again).predict_proba(X[:0]).shape == (0, 2)
    floats = copied(copied(fitted).partial_fit(X, y))
    with pytest.raises(skorch.exceptions.NotInitializedError, match="trained further"):
        _ = floats.quantized_module
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_decrypted_predictions_equal_clear_ones(data, key_cache):
    X, y = data
    net = classifier(n_bits=2).fit(X, y)
    net.compile(X, key_cache=key_cache)
    np.testing.assert_array_equal(net.predict_proba(X[:2], fhe="execute"), net.predict_proba(X[:2]))
    np.testing.assert_array_equal(net.predict(X[:2], fhe="execute"), net.predict(X[:2]))


def test_a_regressor(data):
    X, _ = data
    y = X @ np.array([[1.0], [2.0], [-1.0]], dtype=np.float32)
    torch.manual_seed(0)
    net = NeuralNetRegressor(
        Net, module__outputs=1, module__hidden=8, max_epochs=30, lr=0.2, verbose=0, n_bits=6
    )
    net.fit(X, y)
    assert net.predict(X).shape == (120, 1)
    assert net.score(X, y) > 0.9


def test_inputs_by_name_and_the_first_of_several_outputs(data):
    X, _ = data
    named = {"left": X[:, :2], "right": X[:, 2:]}

    class First(NeuralNetRegressor):
        def get_loss(self, y_pred, y_true, **kwargs):
            return super().get_loss(y_pred[0], y_true, **kwargs)

    net = First(TwoInputs, max_epochs=2, verbose=0, train_split=None, n_bits=8)
    net.fit(named, X[:, :1])
    assert [spec.name for spec in net.numpy_module.inputs] == ["left", "right"]
    np.testing.assert_allclose(net.predict(named), net.forward(named)[0], atol=0.05)
    with pytest.raises(ConfigError, match="an array, or a mapping"):
        net.predict((X[:, :2], X[:, 2:]))


def test_few_of_many_samples_calibrate(data):
    X, y = data
    net = classifier(n_bits=5, train_split=None).set_params(max_epochs=1, batch_size=600)
    net.fit(np.tile(X, (5, 1)), np.tile(y, 5))
    assert net.predict(X).shape == (120,)


# --- skorch and scikit-learn ---


def test_it_works_in_a_pipeline_and_a_grid_search(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"neuralnetclassifier__n_bits": [1, 5]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_ == {"neuralnetclassifier__n_bits": 5}
    best = search.best_estimator_
    np.testing.assert_array_equal(best.predict(X, fhe="disable"), best.predict(X))


def test_parameters_are_known_cloned_and_set(fitted):
    own = set(fitted.get_params())
    plain = set(skorch.NeuralNetClassifier(Net, **CLASSIFIER).get_params())
    assert own - plain == {"n_bits", "config"}
    assert plain - own == {"compile"}
    twin = clone(fitted).set_params(n_bits=7, module__hidden=4)
    assert (twin.n_bits, twin.module__hidden, fitted.n_bits) == (7, 4, 5)
    with pytest.raises(ValueError, match="compile"):
        twin.set_params(compile=True)
    with pytest.raises(ConfigError, match=r"compile\(X\)"):
        classifier(compile=True)


def test_a_wrong_width_is_refused_before_the_training(data):
    net = classifier(n_bits=17)
    with pytest.raises(ConfigError, match="n_bits=17"):
        net.fit(*data)
    assert not net.initialized_


@pytest.mark.parametrize("change", ["train", "initialize", "load"])
def test_what_was_quantized_is_forgotten_when_the_weights_change(data, tmp_path, change):
    X, y = data
    net = classifier(n_bits=2).fit(X, y)
    net.save_params(f_params=tmp_path / "weights.pt")
    {
        "train": lambda: net.partial_fit(X, y),
        "initialize": lambda: net.set_params(module__hidden=4),
        "load": lambda: net.load_params(f_params=tmp_path / "weights.pt"),
    }[change]()
    with pytest.raises(skorch.exceptions.NotInitializedError, match="since it was quantized"):
        _ = net.quantized_module
    np.testing.assert_allclose(
        net.predict_proba(X), net.forward(X).softmax(dim=1), atol=1e-6
    )  # on floats
    with pytest.raises(ConfigError, match="until the net is compiled"):
        net.predict(X, fhe="execute")


def test_a_net_that_skorch_fitted(data):
    X, y = data
    torch.manual_seed(0)
    plain = skorch.NeuralNetClassifier(Net, **CLASSIFIER).fit(X, y)
    net = NeuralNetClassifier.from_fitted(plain, X, n_bits=6)
    assert plain.compile is False
    assert net.module_ is plain.module_
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(X), atol=0.1)
    net.set_params(max_epochs=1).fit(X, y)
    with pytest.raises(ConfigError, match="a fitted net of skorch"):
        NeuralNetClassifier.from_fitted(Net(), X)
    with pytest.raises(skorch.exceptions.NotInitializedError):
        NeuralNetClassifier.from_fitted(skorch.NeuralNetClassifier(Net), X)


def test_before_fit_there_is_nothing(data):
    for attempt in (lambda net: net.onnx_model, lambda net: net.compile(data[0])):
        with pytest.raises(skorch.exceptions.NotInitializedError):
            attempt(classifier())


def test_without_skorch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skorch", None)
    monkeypatch.delitem(sys.modules, "cml_frontends.skorch")
    with pytest.raises(MissingLibraryError, match=r"pip install 'cml\[skorch\]'"):
        import cml_frontends.skorch  # noqa: F401
