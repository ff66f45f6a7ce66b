"""Concrete-ML on the benchmark's ensembles; runs in its own environment and answers `run.py`.

A setting holds `n_bits`. Its own estimators are fitted on features that are quantized already;
with `imported`, the float ensemble is taken over with `from_sklearn_model` instead.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from circuits import P_ERROR, seconds, serve
from concrete.ml.sklearn import DecisionTreeClassifier, RandomForestClassifier, XGBClassifier
from measurement import CALIBRATION, measure, read

CLASSES = {
    each.__name__: each for each in (DecisionTreeClassifier, RandomForestClassifier, XGBClassifier)
}


def answer(job: dict) -> dict:
    """Fit an ensemble, and measure one setting on it."""
    data, n_bits = read(job), job["setting"]["n_bits"]
    train, make = data["train"], CLASSES[job["estimator"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = make(n_bits=n_bits, **job["parameters"])
        estimator, floats = estimator.fit_benchmark(train, data["train_labels"])
        if job["setting"].get("imported"):
            estimator = make.from_sklearn_model(floats, train, n_bits=n_bits)
        circuit, time = seconds(lambda: estimator.compile(train[:CALIBRATION], p_error=P_ERROR))
        result = measure(
            job,
            data,
            circuit,
            exact=floats.predict(data["test"]),
            clear=estimator.predict,
            simulate=lambda x: estimator.predict(x, fhe="simulate"),
            keygen=lambda: circuit.keygen(force=True),
            predict=lambda x: estimator.predict(x, fhe="execute"),
        )
    return {**result, "compile_seconds": time}


if __name__ == "__main__":
    serve(answer, ("concrete-ml", "concrete-python", "numpy", "scikit-learn", "xgboost"))
