"""Float models in cml, in onnxruntime and in onnx.reference: single operators and networks.

    python benchmarks/float/run.py [--only WORD ...] [--seconds 2]

All are run in turns in one process; medians go to `results.json`, tables of ratios into the
documentation. With `--only`, cases whose names contain one of the words are measured and printed,
and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from kernels import cases
from measuring import blas_kernels, measure, measure_reference, overhead, product_seconds
from networks import NETWORKS, chain
from tables import RESULTS, line, write_report
from worker import machine

BATCHES = (1, 64)
CHAINS = ("Identity", "Relu")
PACKAGES = ("cml", "numpy", "onnx", "onnxruntime")
# onnx.reference is measured where a call is expected to take no longer than this; from one size of
# an operator to the next it grows up to a hundredfold.
PATIENCE, GROWTH = 60.0, 100.0
# The oldest processor of all, which OpenBLAS falls back on if it does not know the one it runs on;
# and what can be named to it by an instruction set, best first.
FALLBACK = "Prescott"
CORE_TYPES = {"avx512bw": "SkylakeX", "avx2": "Haswell"}
NAMED, BEFORE = "OPENBLAS_CORETYPE", "BENCH_FLOAT_FALLBACK_SECONDS"


def name_core_type() -> dict:
    """Start again with the best kernels that OpenBLAS has if it does not know the processor.

    Returns
    -------
    dict
        What its kernels are for; if it was told, seconds of a product without and with that.
    """
    told = Path("/proc/cpuinfo")
    flags = told.read_text(encoding="utf-8").split() if told.exists() else []
    core = next((core for flag, core in CORE_TYPES.items() if flag in flags), None)
    if core and blas_kernels() == FALLBACK and NAMED not in os.environ:
        os.environ |= {NAMED: core, BEFORE: str(product_seconds())}
        os.execv(sys.executable, [sys.executable, *sys.argv])
    found = {"kernels": blas_kernels()}
    if BEFORE in os.environ:
        found |= {"fallback": float(os.environ[BEFORE]), "product": product_seconds()}
    return found


def operators(words: list[str], seconds: float) -> Iterator[dict]:
    """Rows of single operators."""
    known: dict[str, float] = {}
    for name, size, case in cases():
        if matches(name, words):
            row = {"operator": name, "size": size, "target": case.target}
            row |= measure(case, 1, seconds)
            if known.get(name, 0.0) * GROWTH < PATIENCE:
                row["reference"] = known[name] = measure_reference(case, 1)
            yield row


def networks(words: list[str], seconds: float) -> Iterator[dict]:
    """Rows of networks, and of chains of nodes."""
    for build in NETWORKS:
        case, single = build(), 0.0
        for batch in BATCHES if matches(case.name, words) else ():
            row = {"network": case.name, "batch": batch, "target": case.target}
            row |= measure(case, batch, seconds)
            if single * batch < PATIENCE:
                row["reference"] = single = measure_reference(case, batch)
            yield row
    for op_type in CHAINS:
        if matches(op_type, words):
            yield {"chain": op_type, "seconds": overhead(chain(op_type))}


def matches(name: str, words: list[str]) -> bool:
    """Whether a name contains one of the words; with no words, all do."""
    return not words or any(word.lower() in name.lower() for word in words)


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each network and batch")
    chosen = parser.parse_args()
    blas = name_core_type()
    versions = {name: metadata.version(name) for name in PACKAGES}
    rows = []
    for source, seconds in ((networks, chosen.seconds), (operators, chosen.seconds / 5)):
        for row in source(chosen.only, seconds):
            print(line(row), file=sys.stderr, flush=True)
            rows.append(row)
    if not chosen.only:
        results = {"machine": machine(), "versions": versions, "blas": blas, "rows": rows}
        text = json.dumps(results).replace(', {"', ',\n{"')
        RESULTS.write_text(text + "\n", encoding="utf-8")
        write_report()


if __name__ == "__main__":
    main()
