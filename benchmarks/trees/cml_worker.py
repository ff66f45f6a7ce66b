"""cml on the benchmark's ensembles; answers `run.py`. A setting holds fields of `QuantConfig`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from circuits import P_ERROR, seconds, serve
from measurement import CALIBRATION, measure, read
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

import cml_core as cml
from cml_frontends.sklearn import sklearn_to_onnx

CLASSES = {each.__name__: each for each in (DecisionTreeClassifier, RandomForestClassifier)}
CLASSES["XGBClassifier"] = XGBClassifier


def answer(job: dict) -> dict:
    """Fit an ensemble, and measure one setting on it."""
    data = read(job)
    train = data["train"]
    estimator = CLASSES[job["estimator"]](**job["parameters"])
    estimator.fit(train, data["train_labels"])

    def build():
        module = cml.NumpyModule.from_onnx(sklearn_to_onnx(estimator, train))
        quantized = cml.quantize(module, train[:CALIBRATION], cml.QuantConfig(**job["setting"]))
        return quantized, quantized.compile(p_error=P_ERROR)

    (quantized, compiled), time = seconds(build)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples out of the range of calibration
        result = measure(
            job,
            data,
            compiled.circuit.circuit,
            exact=estimator.predict(data["test"]),
            clear=lambda x: quantized.run({"X": x})["label"],
            simulate=lambda x: compiled.simulate({"X": x})["label"],
            keygen=lambda: compiled.keygen(force=True),
            predict=lambda x: compiled.run({"X": x})["label"],
        )
    return {**result, "compile_seconds": time}


if __name__ == "__main__":
    packages = ("cml", "concrete-python", "numpy", "scikit-learn", "xgboost", "skl2onnx")
    serve(answer, packages)
