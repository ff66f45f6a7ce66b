"""cml on the benchmark's networks; answers `run.py`.

A setting holds fields of `QuantConfig` and of `FheOptions` (`rounding` is QuantConfig's). `n_bits`
stands for the width of inputs, weights and activations; `preset` names another constructor of
`QuantConfig`.
"""

from __future__ import annotations

import warnings

import attrs
import numpy as np
from circuits import MODELS, P_ERROR, measure, seconds, serve
from concrete import fhe  # noqa: F401 - imported here so that no compilation is charged for it

import cml_core as cml


def configure(setting: dict) -> tuple[cml.QuantConfig, cml.FheOptions]:
    """Split a setting between quantization and compiler."""
    fields = dict(setting)
    quantization = {field.name for field in attrs.fields(cml.QuantConfig)}
    names = {field.name for field in attrs.fields(cml.FheOptions)} - quantization
    options = {name: fields.pop(name) for name in list(fields) if name in names}
    preset = fields.pop("preset", None)
    if preset is not None:
        config = getattr(cml.QuantConfig, preset)(**fields)
    elif "n_bits" in fields:
        config = cml.QuantConfig.with_bits(fields.pop("n_bits"), **fields)
    else:
        config = cml.QuantConfig(**fields)
    return config, cml.FheOptions(**{"p_error": P_ERROR, **options})


def answer(job: dict) -> dict:
    """Measure one setting on one network."""
    config, options = configure(job["setting"])
    module = cml.NumpyModule.from_onnx(MODELS / f"{job['model']}.onnx")
    calibration = np.load(MODELS / f"{job['model']}.npz")["calibration"]

    def build():
        quantized = cml.quantize(module, calibration, config)
        return quantized, quantized.compile(options)

    (quantized, compiled), time = seconds(build)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples out of range are what simulation counts
        result = measure(
            job,
            compiled.circuit.circuit,
            compiled.circuit.circuit.mlir,
            clear=lambda x: quantized(x).argmax(axis=1),
            simulate=lambda x: compiled.simulate(x).argmax(axis=1),
            keygen=lambda: compiled.keygen(force=True),
            predict=lambda x: compiled.predict(x).argmax(axis=1),
        )
    return {**result, "compile_seconds": time}


if __name__ == "__main__":
    serve(answer, ("cml", "concrete-python", "numpy", "onnx"))
