"""Accuracy and cost of the digits network over bit widths, as compiled circuits.

    python benchmarks/digits.py [--encrypt]

For each setting: accuracy of clear integers on the test digits, table lookups by input width, the
compiler's own count of bootstraps and complexity, seconds to compile and, with `--encrypt`, to
generate keys and to predict one digit. Machine and versions are printed with the figures.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path

import numpy as np

import cml_core as cml

DIGITS = Path(__file__).parent.parent / "docs" / "examples" / "digits"
SETTINGS = [(3, 5), (4, 4), (4, 5), (4, 6), (5, 7)]
ENCRYPTED = 3


def seconds(action):
    """Run an action; return what it returned and how long it took."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def versions() -> str:
    """Versions of what decides the figures."""
    found = []
    for name in ("numpy", "onnx", "concrete-python", "concrete-numpy"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encrypt", action="store_true", help="also generate keys and predict")
    encrypt = parser.parse_args().encrypt
    data = np.load(DIGITS / "digits.npz")
    test, labels = data["test"], data["labels"]
    module = cml.NumpyModule.from_onnx(DIGITS / "digits.onnx")
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions()}")
    print(f"float accuracy {(module(test).argmax(axis=1) == labels).mean():.4f} on {len(test)}\n")
    head = ["bits", "rounded to", "accuracy", "lookups", "bootstraps", "complexity", "compile s"]
    print("| " + " | ".join(head + (["keys s", "predict s"] if encrypt else [])) + " |")
    print("|" + "---|" * (len(head) + 2 * encrypt))
    for bits, rounding in SETTINGS:
        config = cml.QuantConfig.with_bits(bits, rounding_bits=rounding)
        quantized = cml.quantize(module, data["calibration"], config)
        accuracy = (quantized(test).argmax(axis=1) == labels).mean()
        circuit = quantized.compile()
        report = circuit.report
        row = [
            bits,
            rounding,
            f"{accuracy:.4f}",
            report.lookups,
            report.programmable_bootstraps,
            f"{report.complexity:.2e}",
            f"{report.compile_seconds:.1f}",
        ]
        if encrypt:
            _, keys = seconds(circuit.keygen)
            times = [
                seconds(lambda: circuit.predict(test[i : i + 1]))[1]  # noqa: B023
                for i in range(ENCRYPTED)
            ]
            row += [f"{keys:.1f}", f"{statistics.median(times):.1f}"]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
