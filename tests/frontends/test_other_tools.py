"""Models as other tools write them, in the opsets that they choose, beside onnxruntime.

Every one is exported here: by both of PyTorch's exporters, by skl2onnx, and by onnxmltools from
XGBoost and LightGBM.
"""

from __future__ import annotations

import functools
import warnings

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.feeds import as_feeds

pytest.importorskip("onnxruntime", reason="there is nothing to compare with")
pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

import onnxruntime
from sklearn import (
    datasets,
    decomposition,
    ensemble,
    gaussian_process,
    linear_model,
    mixture,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from cml_frontends.torch import torch_to_onnx
from tests.frontends.architectures import ARCHITECTURES

RNG = np.random.default_rng(0)
X, Y = datasets.load_iris(return_X_y=True)
X = X.astype(np.float32)
TEXT = np.array([["red", "small"], ["green", "large"], ["blue", "small"], ["red", "large"]], object)


def expect_same(model: onnx.ModelProto, feeds: dict, rtol: float = 1e-4, atol: float = 1e-5):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    module = cml.NumpyModule.from_onnx(model)
    wanted = session.run(None, as_feeds(module.inputs, feeds))
    got = module.run(feeds)
    assert list(got) == [output.name for output in session.get_outputs()]
    for ours, theirs in zip(got.values(), wanted, strict=True):
        theirs = np.asarray(theirs)
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if theirs.dtype.kind in "fc":
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(ours, theirs)


#: Padding to the same size with dilation is what onnxruntime refuses of the other exporter's.
BY_DYNAMO = {*list(ARCHITECTURES)[::2], "dilated"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pytorch(name):
    architecture = ARCHITECTURES[name]
    exporter = "dynamo" if name in BY_DYNAMO else "torchscript"
    model = torch_to_onnx(architecture.network(), architecture.samples(3), exporter=exporter)
    names = [value.name for value in model.graph.input]
    expect_same(model, dict(zip(names, architecture.samples(5, seed=2), strict=True)))


ESTIMATORS = {
    "logistic regression behind a scaler": lambda: pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression()
    ),
    "principal components and a network": lambda: pipeline.make_pipeline(
        decomposition.PCA(2), neural_network.MLPClassifier([5], max_iter=2000, random_state=0)
    ),
    "decision tree": lambda: tree.DecisionTreeClassifier(max_depth=4, random_state=0),
    "random forest": lambda: ensemble.RandomForestClassifier(10, max_depth=4, random_state=0),
    "gradient boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=10),
    "support vectors": lambda: svm.SVC(probability=True, random_state=0),
    "support vector regression": lambda: svm.SVR(kernel="poly", degree=2),
    "one-class support vectors": lambda: svm.OneClassSVM(),
    "nearest neighbours": lambda: neighbors.KNeighborsClassifier(3),
    "nearest neighbours by distance": lambda: neighbors.KNeighborsRegressor(3, weights="distance"),
    "Gaussian process": lambda: gaussian_process.GaussianProcessRegressor(
        gaussian_process.kernels.RBF(), alpha=0.1
    ),
    "Gaussian mixture": lambda: mixture.GaussianMixture(3, random_state=0),
    "voting": lambda: ensemble.VotingClassifier(
        [
            ("a", linear_model.LogisticRegression(max_iter=1000)),
            ("b", tree.DecisionTreeClassifier(random_state=0)),
        ],
        flatten_transform=False,
    ),
    "polynomial features": lambda: pipeline.make_pipeline(
        preprocessing.PolynomialFeatures(2), linear_model.Ridge()
    ),
    "bins": lambda: pipeline.make_pipeline(
        preprocessing.KBinsDiscretizer(3, encode="onehot-dense"), linear_model.Ridge()
    ),
    "quantiles and powers": lambda: pipeline.make_pipeline(
        preprocessing.PowerTransformer(),
        preprocessing.Normalizer("l1"),
        linear_model.BayesianRidge(),
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_skl2onnx(name):
    import skl2onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = ESTIMATORS[name]().fit(X, Y)
        options = {"zipmap": False} if hasattr(fitted, "classes_") else None
        options = {id(fitted): options} if options else None
        model = skl2onnx.to_onnx(fitted, X[:1], options=options)
    samples = X[RNG.permutation(len(X))[:30]] + RNG.normal(0, 0.05, (30, 4)).astype(np.float32)
    expect_same(model, {"X": samples}, rtol=1e-3, atol=1e-4)


def test_skl2onnx_on_text():
    import skl2onnx
    from skl2onnx.common.data_types import StringTensorType

    encoder = preprocessing.OneHotEncoder(sparse_output=False).fit(TEXT)
    types = [("X", StringTensorType([None, 2]))]
    expect_same(skl2onnx.to_onnx(encoder, initial_types=types), {"X": TEXT})


@functools.cache
def _boosted(library: str):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    onnxmltools = pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = {"xgboost": "XGB", "lightgbm": "LGBM"}[library]
    extra = {"verbose": -1} if library == "lightgbm" else {}
    types = [("X", FloatTensorType([None, 4]))]
    models = []
    for suffix, labels in (("Classifier", Y), ("Regressor", X[:, 0])):
        estimator = getattr(module, kind + suffix)(n_estimators=8, max_depth=3, n_jobs=1, **extra)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(X, labels)
            convert = getattr(onnxmltools, f"convert_{library}")
            options = {"zipmap": False} if (library, suffix) == ("lightgbm", "Classifier") else {}
            models.append(convert(estimator, initial_types=types, **options))
    return models


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("place", [0, 1], ids=["classifier", "regressor"])
def test_boosting(library, place):
    samples = X + RNG.normal(0, 0.05, X.shape).astype(np.float32)
    expect_same(_boosted(library)[place], {"X": samples})
