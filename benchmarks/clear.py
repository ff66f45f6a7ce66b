"""Time in the clear: float models beside their integer programs, on a batch of samples.

    python benchmarks/clear.py [--batch 1000] [--n-bits 4] [--repeat 50]

For each model of `benchmarks/fhe/models`: median times of the float model in NumPy, of the whole
quantized model (quantize, integer program, dequantize), of its integer program alone, and of both
exported to ONNX, in onnxruntime; then what each takes of the float model's time. All are measured
in turns in one process, on one thread. Machine and versions are printed with the figures.
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

# NumPy's BLAS reads this once, when it is loaded.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import onnx
import onnxruntime

import cml_core as cml
from cml_core.program.execute import execute

MODELS = Path(__file__).parent / "fhe" / "models"


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def medians(actions: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Milliseconds that each action takes; they take turns, so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeat + 3):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found[3:]) for name, found in times.items()}


def samples(path: Path, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibration samples, and a batch of those and the test samples in their range."""
    data = np.load(path)
    calibration, test = data["calibration"], data["test"]
    test = np.clip(test, calibration.min(), calibration.max())
    both = np.concatenate([calibration, test]).astype(np.float32)
    return calibration, both[np.arange(batch) % len(both)]


def measure(path: Path, batch: int, n_bits: int, repeat: int) -> dict[str, float]:
    """Times of one model by what is timed."""
    calibration, x = samples(path.with_suffix(".npz"), batch)
    module = cml.NumpyModule.from_onnx(path)
    quantized = cml.quantize(module, calibration, n_bits=n_bits)
    exported = quantized.to_onnx()
    name = module.inputs[0].name
    integers = quantized.quantize_inputs({name: x})
    in_float, in_integers = session(module.onnx_model), session(exported)
    np.testing.assert_array_equal(in_integers.run(None, {name: x})[0], quantized(x))
    actions = {
        "float": lambda: module(x),
        "quantized": lambda: quantized(x),
        "program": lambda: execute(quantized.program, integers),
        "float in ort": lambda: in_float.run(None, {name: x}),
        "quantized in ort": lambda: in_integers.run(None, {name: x}),
    }
    return medians(actions, repeat)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--n-bits", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=50)
    options = parser.parse_args()
    packages = ("numpy", "onnx", "onnxruntime")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    # Some of the test samples leave a calibrated range, as samples do.
    warnings.simplefilter("ignore", cml.OverflowWarning)
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}")
    print(f"batch of {options.batch}, {options.n_bits} bits, medians of {options.repeat} in ms\n")
    rows = {
        path.stem: measure(path, options.batch, options.n_bits, options.repeat)
        for path in sorted(MODELS.glob("*.onnx"))
    }
    names = list(next(iter(rows.values())))
    ratios = {"quantized": "float", "program": "float", "quantized in ort": "float in ort"}
    head = ["model", *names, *(f"{name} / {base}" for name, base in ratios.items())]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for model, row in rows.items():
        cells = [f"{row[name]:.3f}" for name in names]
        cells += [f"{row[name] / row[base]:.2f}" for name, base in ratios.items()]
        print("| " + " | ".join([model, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
