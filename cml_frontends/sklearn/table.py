"""The estimators: one row for each."""

from __future__ import annotations

from typing import Any

import attrs

from cml_core.quantization.config import QuantConfig
from cml_frontends.sklearn.bodies.boosting import lightgbm_trees, xgboost_trees
from cml_frontends.sklearn.bodies.hist_boosting import hist_boosting
from cml_frontends.sklearn.bodies.library import Body, by_skl2onnx, by_skl2onnx_scores
from cml_frontends.sklearn.bodies.naive_bayes import gaussian_naive_bayes
from cml_frontends.sklearn.bodies.neighbors import nearest_neighbors
from cml_frontends.sklearn.bodies.svm import support_vectors
from cml_frontends.sklearn.originals import original_class

__all__ = ["ROWS", "Row", "row_of"]

#: Features differ in size, and few bits say most of them if their ends are left out.
_TABULAR = QuantConfig(input_scales="each", observer="mse")
#: No lookup: only what is encrypted may cost anything, and little.
_LINEAR = attrs.evolve(_TABULAR, input_bits=8, weight_bits=8)
_DISTANCES = attrs.evolve(_LINEAR, weight_rounding="nearest")
#: Lookups of inputs alone, whose results may be wide: their sum is not looked up.
_PARABOLAS = attrs.evolve(_TABULAR, input_bits=5, weight_bits=6, activation_bits=8)
_KERNELS = QuantConfig(
    input_scales="each", observer="mse", input_bits=6, weight_bits=6, activation_bits=6
)
_CLASSES = _TABULAR
_VALUES = _KERNELS
#: Comparisons are exact, or by fine grids, as the client encodes features.
_TREES = QuantConfig(input_scales="each", input_bits=8, weight_bits=8)
_INPUT_BITS = ("input_bits",)
_ALL_BITS = ("input_bits", "weight_bits", "activation_bits")


@attrs.frozen(slots=True)
class Row:
    """An estimator.

    Parameters
    ----------
    name : str
        Its class, and ours.
    module : str
        Where the original lives.
    config : QuantConfig
        How it is quantized by default.
    body : callable
        Writes what it computes.
    widths : tuple of str
        The fields of `config` that `n_bits` sets: those that cost something.
    extra : str
        The extra of cml that installs its library.
    has_trees : bool
        Whether its features are compared with thresholds, so that `encoding` applies.
    has_ties : bool
        Whether many predictions may hang on what rounding makes of equal numbers.
    sees_samples : bool
        Whether `body` takes `samples`, such as the estimator will see, or None.
    """

    name: str
    module: str
    config: QuantConfig
    body: Body = by_skl2onnx
    widths: tuple[str, ...] = _ALL_BITS
    extra: str = "sklearn"
    has_trees: bool = False
    has_ties: bool = False
    sees_samples: bool = False


def _linear(name: str, module: str, body: Body = by_skl2onnx) -> Row:
    return Row(name, module, _LINEAR, body, _INPUT_BITS)


def _trees(name: str, module: str, body: Body = by_skl2onnx, extra: str = "sklearn") -> Row:
    return Row(name, module, _TREES, body, _INPUT_BITS, extra, has_trees=True)


_LIST = (
    _linear("LinearRegression", "sklearn.linear_model"),
    _linear("Ridge", "sklearn.linear_model"),
    _linear("Lasso", "sklearn.linear_model"),
    _linear("ElasticNet", "sklearn.linear_model"),
    _linear("SGDRegressor", "sklearn.linear_model"),
    _linear("PoissonRegressor", "sklearn.linear_model"),
    _linear("GammaRegressor", "sklearn.linear_model"),
    _linear("TweedieRegressor", "sklearn.linear_model"),
    _linear("LogisticRegression", "sklearn.linear_model", by_skl2onnx_scores),
    _linear("SGDClassifier", "sklearn.linear_model", by_skl2onnx_scores),
    _linear("Perceptron", "sklearn.linear_model", by_skl2onnx_scores),
    _linear("LinearDiscriminantAnalysis", "sklearn.discriminant_analysis", by_skl2onnx_scores),
    _linear("LinearSVC", "sklearn.svm", by_skl2onnx_scores),
    _linear("LinearSVR", "sklearn.svm"),
    Row("SVC", "sklearn.svm", _KERNELS, support_vectors),
    Row("SVR", "sklearn.svm", _KERNELS),
    Row(
        "GaussianNB",
        "sklearn.naive_bayes",
        _PARABOLAS,
        gaussian_naive_bayes,
        _INPUT_BITS,
        sees_samples=True,
    ),
    Row(
        "KNeighborsClassifier",
        "sklearn.neighbors",
        _DISTANCES,
        nearest_neighbors,
        _INPUT_BITS,
        has_ties=True,
    ),
    Row("MLPClassifier", "sklearn.neural_network", _CLASSES),
    Row("MLPRegressor", "sklearn.neural_network", _VALUES),
    _trees("DecisionTreeClassifier", "sklearn.tree"),
    _trees("DecisionTreeRegressor", "sklearn.tree"),
    _trees("RandomForestClassifier", "sklearn.ensemble"),
    _trees("RandomForestRegressor", "sklearn.ensemble"),
    _trees("ExtraTreesClassifier", "sklearn.ensemble"),
    _trees("ExtraTreesRegressor", "sklearn.ensemble"),
    _trees("GradientBoostingClassifier", "sklearn.ensemble", by_skl2onnx_scores),
    _trees("GradientBoostingRegressor", "sklearn.ensemble"),
    _trees("HistGradientBoostingClassifier", "sklearn.ensemble", hist_boosting),
    _trees("HistGradientBoostingRegressor", "sklearn.ensemble", hist_boosting),
    _trees("XGBClassifier", "xgboost", xgboost_trees, "xgboost"),
    _trees("XGBRegressor", "xgboost", xgboost_trees, "xgboost"),
    _trees("LGBMClassifier", "lightgbm", lightgbm_trees, "lightgbm"),
    _trees("LGBMRegressor", "lightgbm", lightgbm_trees, "lightgbm"),
)

#: By name, in the order in which they are documented.
ROWS = {row.name: row for row in _LIST}


def row_of(estimator: Any) -> Row | None:
    """The row of an estimator, one of ours or an original; None if it has none."""
    original = original_class(type(estimator))
    row = ROWS.get(original.__name__)
    same = row is not None and original.__module__.split(".")[0] == row.module.split(".")[0]
    return row if same else None
