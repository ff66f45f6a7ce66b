"""Concrete-ML on the benchmark's networks; runs in its own environment and answers `run.py`.

A setting holds `n_bits` (a number, or a dict as `compile_onnx_model` takes it), `rounding` (bits
that accumulators are rounded to, or None) and `method` ("exact" or "approximate"). With
`estimator` it is Concrete-ML's own logistic regression with the network's weights instead.
"""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import sklearn.linear_model
from circuits import MODELS, P_ERROR, measure, seconds, serve
from concrete.ml.sklearn import LogisticRegression
from concrete.ml.torch.compile import compile_onnx_model
from onnx import numpy_helper, version_converter

# The only opset that Concrete-ML takes; no operator of the networks changed between 14 and 17.
OPSET = 14


def network(job: dict):
    """Quantize and compile the ONNX network."""
    setting = job["setting"]
    model = version_converter.convert_version(onnx.load(MODELS / f"{job['model']}.onnx"), OPSET)
    calibration = np.load(MODELS / f"{job['model']}.npz")["calibration"]
    rounding = setting.get("rounding")
    if rounding is not None:
        rounding = {"n_bits": rounding, "method": setting["method"].upper()}
    module, time = seconds(
        lambda: compile_onnx_model(
            model,
            calibration,
            n_bits=setting["n_bits"],
            rounding_threshold_bits=rounding,
            p_error=P_ERROR,
        )
    )

    def classes(samples, mode):
        return module.forward(samples, fhe=mode).argmax(axis=1)

    return module.fhe_circuit, classes, time


def estimator(job: dict):
    """Quantize and compile Concrete-ML's logistic regression with the ONNX network's weights."""
    model = onnx.load(MODELS / f"{job['model']}.onnx")
    calibration = np.load(MODELS / f"{job['model']}.npz")["calibration"]
    arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    weight = next(a for a in arrays if a.ndim == 2).astype(np.float64)
    bias = next(a for a in arrays if a.ndim == 1).astype(np.float64)
    # Softmax of two logits is the logistic function of their difference.
    fitted = sklearn.linear_model.LogisticRegression()
    fitted.coef_, fitted.intercept_ = weight[1:] - weight[:1], bias[1:] - bias[:1]
    fitted.classes_, fitted.n_features_in_ = np.array([0, 1]), weight.shape[1]

    def build():
        built = LogisticRegression.from_sklearn_model(
            fitted, calibration, n_bits=job["setting"]["n_bits"]
        )
        built.compile(calibration, p_error=P_ERROR)
        return built

    built, time = seconds(build)

    def classes(samples, mode):
        return built.predict(samples, fhe=mode)

    return built.fhe_circuit, classes, time


def answer(job: dict) -> dict:
    """Measure one setting on one network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build = estimator if "estimator" in job["setting"] else network
        circuit, classes, time = build(job)
        result = measure(
            job,
            circuit,
            circuit.mlir,
            clear=lambda x: classes(x, "disable"),
            simulate=lambda x: classes(x, "simulate"),
            keygen=lambda: circuit.keygen(force=True),
            predict=lambda x: classes(x, "execute"),
        )
    return {**result, "compile_seconds": time}


if __name__ == "__main__":
    serve(answer, ("concrete-ml", "concrete-python", "numpy", "onnx"))
