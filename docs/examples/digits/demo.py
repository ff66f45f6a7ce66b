"""The demo: handwritten digits classified on encrypted data, compared with the clear answers.

    python docs/examples/digits/demo.py [--digits 3] [--n-bits 4]

It runs the model in float, quantizes and compiles it, generates keys, predicts some digits
encrypted, and prints float, integer and decrypted answers side by side. The exit status is 1 if
a decrypted answer differs from the integer one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import cml_core as cml

HERE = Path(__file__).parent


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Return what an action returns, and how many seconds it took."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> str:
    """Share of right answers, in words."""
    return f"{100 * float((probabilities.argmax(axis=1) == labels).mean()):.1f} %"


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=int, default=3, help="digits to predict encrypted")
    parser.add_argument(
        "--n-bits", type=int, default=4, help="bits of inputs, weights, activations"
    )
    arguments = parser.parse_args()
    console = Console()
    data = np.load(HERE / "digits.npz")
    test, labels = data["test"], data["labels"]

    module = cml.NumpyModule.from_onnx(HERE / "digits.onnx")
    floats, seconds = timed(lambda: module(test))
    console.print(
        f"\nfloat: accuracy {accuracy(floats, labels)} on {len(test)} digits ({seconds:.2f} s)"
    )

    quantized, seconds = timed(
        lambda: cml.quantize(module, data["calibration"], n_bits=arguments.n_bits)
    )
    integers = quantized(test)
    console.print(
        f"{arguments.n_bits}-bit integers: accuracy {accuracy(integers, labels)} "
        f"(quantized in {seconds:.2f} s)"
    )

    circuit = quantized.compile()
    report = circuit.report
    console.print(
        f"compiled with {report.backend} in {report.compile_seconds:.1f} s: "
        f"{report.lookups} table lookups, {report.programmable_bootstraps} bootstraps with exact "
        f"rounding, complexity {report.complexity:.2e}"
    )
    nodes = Table("node", "widest integer", "lookups by input width", "bits rounded away")
    for node in report.nodes:
        widths = ", ".join(f"{n} of {width} bits" for width, n in sorted(node.lookups.items()))
        nodes.add_row(
            node.node, f"{node.max_bit_width} bits", widths or "none", str(node.rounded_bits)
        )
    console.print(nodes)

    simulated, seconds = timed(lambda: circuit.simulate(test[:100]))
    agree = int((simulated == integers[:100]).all(axis=1).sum())
    console.print(f"simulation equals clear integers on {agree} of 100 digits ({seconds:.1f} s)")

    _, seconds = timed(circuit.keygen)
    keys = sum(report.sizes[kind] for kind in ("bootstrap_keys", "keyswitch_keys"))
    console.print(f"keys generated in {seconds:.1f} s ({keys / 1e6:.0f} MB of evaluation keys)")

    answers = Table("digit", "truth", "float", "integers", "decrypted", "same", "seconds")
    same = True
    for place in range(arguments.digits):
        decrypted, seconds = timed(lambda: circuit.predict(test[place : place + 1])[0])  # noqa: B023
        equal = bool((decrypted == integers[place]).all())
        same = same and equal
        answers.add_row(
            str(place),
            str(labels[place]),
            *(f"{p.argmax()} ({p.max():.3f})" for p in (floats[place], integers[place], decrypted)),
            "yes" if equal else "NO",
            f"{seconds:.1f}",
        )
    console.print(answers)
    return 0 if same and agree == 100 else 1


if __name__ == "__main__":
    sys.exit(main())
