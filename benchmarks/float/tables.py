"""Tables of the benchmark, from `results.json`; writes them into the documentation.

python benchmarks/float/tables.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from networks import CONVOLUTIONAL, FASTER, SINGLE
from report import table, write_section

RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- bench-float: begin -->", "<!-- bench-float: end -->"
# Microseconds that the interpreter may spend on a node.
PER_NODE = 3.0

INTRODUCTION = """\
## Float models beside onnxruntime

The same ONNX files in float32, run in turns in one process by cml, by onnxruntime and by
onnx.reference; medians in ms, and ratios of them. `make bench-float` prints this table.

- *cml* and *ort* are on one thread, in that thread's own time; *cml, all* and *ort, all* on all
  threads of this machine, in the time that passes, which other work on it makes longer.
- *reference* says how many times longer onnx.reference takes than cml, where a call is short
  enough to be waited for.
- Figures in bold miss their target: at most 1.5 of onnxruntime's time on one thread where matrix
  products dominate, 3 where convolutions do, 5 where it is the interpreter that counts: at a batch
  of 1 and in a small network; and at least 20 times faster than onnx.reference on convolutional
  networks. Other operators have no target, nor has any on little data, where calls count.
"""


def target(row: dict) -> float | None:
    """Most that a row may take of onnxruntime's time on one thread."""
    if row["target"] is None or row.get("size") == "small":
        return None
    return SINGLE if row.get("batch") == 1 else row["target"]


def ratio(value: float, most: float | None) -> str:
    """Write a ratio, in bold if it is above its target."""
    return f"**{value:.2f}**" if most is not None and value > most else f"{value:.2f}"


def faster(row: dict, most: float | None) -> str:
    """Write how many times longer onnx.reference takes, if it was measured."""
    if "reference" not in row:
        return ""
    value = row["reference"] / row["cml"]
    text = f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    return f"**{text}**" if most is not None and value < most else text


def cells(row: dict) -> list[str]:
    """Write a row of either table, after what names it."""
    is_convolutional = "network" in row and row["target"] == CONVOLUTIONAL
    return [
        *(f"{1e3 * row[key]:.3f}" for key in ("cml", "ort")),
        ratio(row["cml"] / row["ort"], target(row)),
        *(f"{1e3 * row[key]:.3f}" for key in ("cml_all", "ort_all")),
        ratio(row["cml_all"] / row["ort_all"], None),
        faster(row, FASTER if is_convolutional else None),
    ]


def line(row: dict) -> str:
    """Write a row in one line, for whoever waits."""
    if "chain" in row:
        return f"{row['chain']}: {1e6 * row['seconds']:.2f} µs per node"
    names = [str(row[key]) for key in ("operator", "size", "network", "batch") if key in row]
    return " | ".join([*names, *cells(row)])


def blas(found: dict, versions: dict) -> str:
    """Write which kernels BLAS has for this processor."""
    text = f"BLAS has its kernels for {found['kernels']}"
    if "fallback" not in found:
        return f"{text}."
    before, after = (1e3 * found[key] for key in ("fallback", "product"))
    return (
        f"{text},\nas `OPENBLAS_CORETYPE` told it. The OpenBLAS of this NumPy does not know the "
        "processor, and\nfalls back on kernels with which a product of two 512 x 512 matrices "
        f"takes {before:.1f} ms in place of\n{after:.1f}."
    )


def tables(results: dict) -> str:
    """Write everything but the introduction."""
    rows, versions = results["rows"], results["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = f"{results['machine']}, {named}. {blas(results['blas'], versions)}\n"
    head = ["cml", "ort", "cml / ort", "cml, all", "ort, all", "cml / ort", "reference"]
    networks = [[r["network"], str(r["batch"]), *cells(r)] for r in rows if "network" in r]
    text += f"\n{table(['network', 'batch', *head], networks)}\n"
    chains = [
        f"{ratio(1e6 * r['seconds'], PER_NODE)} µs for each {r['chain']}"
        for r in rows
        if "chain" in r
    ]
    text += "\nA chain of 200 nodes on one number, whole runs included, takes "
    text += f"{' and '.join(chains)}; the target is {PER_NODE:.0f} µs.\n"
    operators = [[r["operator"], r["size"], *cells(r)] for r in rows if "operator" in r]
    return text + f"\nSingle operators:\n\n{table(['operator', 'size', *head], operators)}\n"


def write_report() -> None:
    """Write the tables into `docs/`."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    write_section(BEGIN, END, f"{INTRODUCTION}\n{tables(results)}")


if __name__ == "__main__":
    write_report()
