"""Tables and picture of the benchmark, from `results/`; writes them into the documentation.

python benchmarks/fhe/report.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from settings import MODELS

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
PICTURE = DOCS / "images" / "fhe-benchmark.svg"
BEGIN, END = "<!-- bench-fhe: begin -->", "<!-- bench-fhe: end -->"
NAMES = {"cml": "cml", "concrete_ml": "Concrete-ML"}
TITLES = {
    "digits_mlp": "Digits, 64-32-32-10 network",
    "digits_cnn": "Digits, convolutional network",
    "cancer_logistic": "Breast cancer, logistic regression",
    "cancer_mlp": "Breast cancer, 30-32-16-2 network",
}
# Percentage points of accuracy below the float network's.
LOSSES = (0.0, 0.5, 1.0, 2.0, 3.0)

INTRODUCTION = """\
## Beside Concrete-ML

Four networks, trained once and read from the same ONNX files by both systems, with the same
calibration and test samples and a failure probability of 2⁻⁴⁰ per lookup. `make bench-fhe` measures
a reduced list of settings on both, `make bench-fhe BENCH_FHE=--full` all of them.

- *accuracy* is that of each system's own simulation of the circuit on all test samples: it knows of
  approximate rounding, and a value that leaves the range seen in calibration counts with the
  wrong result it gives.
- *in the clear* is the accuracy of clear integers on the same samples, which know of neither.
- *lookups* are counted in the MLIR of the circuit, as number × width of the input in bits;
  *bits off* are those that exact rounding takes off, one small bootstrap each.
- *complexity* is the estimate of Concrete's optimizer for one sample.
- *compile* covers quantization and compilation. *predict* is the median of three samples:
  encryption, execution and decryption. Encryption is measured on up to four points of each front.

Accuracy and complexity do not depend on the machine: what an earlier run measured of Concrete-ML
with the same versions is kept, and its times only if they are of the machine named here.

The last column of Concrete-ML's tables says how many times cheaper that setting of cml is which
is the cheapest of those at least as accurate. A setting is listed if no other of its system is at
least as accurate and cheaper. Fronts are taken on the test samples themselves, so both are
optimistic, the more so the more settings were tried. The standard error of an accuracy near 96 %
is 0.9 percentage points on 450 samples and 1.1 on 300: a difference below that says little.
"""


def front(rows: list[dict]) -> list[dict]:
    """Settings that no other beats in accuracy at the same or lower complexity, cheapest first."""
    best: list[dict] = []
    simulated = [row for row in rows if "accuracy" in row]
    for row in sorted(simulated, key=lambda row: (row["complexity"], -row["accuracy"])):
        if not best or row["accuracy"] > best[-1]["accuracy"]:
            best.append(row)
    return best


def describe(setting: dict) -> str:
    """Write a setting in a few words."""
    words = [] if setting else ["default"]
    for name, value in setting.items():
        if isinstance(value, dict):
            value = "/".join(str(part) for part in value.values())
            name = "bits in/act/weight/out"
        method = name in ("method", "rounding") and isinstance(value, str)
        if method or name in ("estimator", "preset"):
            words.append(str(value))
        elif name == "rounding" and value is None:
            words.append("no rounding")
        else:
            short = {"n_bits": "bits", "rounding_bits": "rounded to", "rounding": "rounded to"}
            words.append(f"{short.get(name, name)} {value}")
    return ", ".join(words)


def read() -> dict[str, dict]:
    """Results of both systems."""
    found = {}
    for system in NAMES:
        path = HERE / "results" / f"{system}.json"
        if path.exists():
            found[system] = json.loads(path.read_text(encoding="utf-8"))
    return found


def of_model(results: dict, system: str, model: str) -> list[dict]:
    """One system's rows on one model."""
    return [row for row in results[system]["rows"] if row["model"] == model]


def float_accuracy(model: str) -> float:
    """Accuracy of the float network on the test samples."""
    data = np.load(HERE / "models" / f"{model}.npz")
    path = str(HERE / "models" / f"{model}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: data["test"]})
    return float((logits.argmax(axis=1) == data["labels"]).mean())


def complexity(value: float) -> str:
    """Write a complexity."""
    return f"{value:.2e}" if value >= 1e4 else f"{value:.0f}"


def duration(time: float | None) -> str:
    """Write seconds, if they were measured."""
    if time is None:
        return ""
    return f"{time:.2g}" if time < 10 else f"{time:.0f}"


def columns(row: dict) -> list[str]:
    """Write a row of a front."""
    lookups = " + ".join(f"{count}×{width}" for width, count in row["lookups"].items())
    times = [row.get(key) for key in ("compile_seconds", "keys_seconds", "predict_seconds")]
    return [
        describe(row["setting"]),
        f"{row['accuracy']:.4f}",
        f"{row['clear_accuracy']:.4f}",
        lookups or "none",
        str(row["rounded_bits"]),
        complexity(row["complexity"]),
        *map(duration, times),
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cheapest(rows: list[dict], accuracy: float) -> float | None:
    """Complexity of the cheapest setting that is at least so accurate."""
    enough = [r["complexity"] for r in rows if r.get("accuracy", -1.0) >= accuracy - 1e-9]
    return min(enough, default=None)


def compared(results: dict, model: str, exact: float) -> str:
    """What each system needs for the same accuracy; differences of one sample count."""
    rows = []
    for loss in LOSSES:
        found = [cheapest(of_model(results, s, model), exact - loss / 100) for s in results]
        cells = ["not reached" if value is None else complexity(value) for value in found]
        both = len(found) == 2 and None not in found
        ratio = f"{found[1] / found[0]:.2f}" if both else ""
        rows.append([f"{exact - loss / 100:.4f}", *cells, ratio])
    names = [NAMES[system] for system in results]
    return table(["accuracy of at least", *names, " / ".join(reversed(names))], rows)


def ran_with(system: str, result: dict) -> str:
    """Write which versions of a system ran where."""
    versions = dict(result["versions"])
    own = versions.pop(system.replace("_", "-"))
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{NAMES[system]} {own}: {result['machine']}, {others}"


def tables(results: dict) -> str:
    """Write everything but the introduction."""
    parts = []
    for system, result in results.items():
        refused = sum("refused" in row for row in result["rows"])
        tried = f"{len(result['rows'])} settings in all, {refused} refused"
        parts.append(f"- {ran_with(system, result)}; {tried}.")
    text = "\n".join(parts) + f"\n\n![accuracy against complexity](images/{PICTURE.name})\n"
    head = ["setting", "accuracy", "in the clear", "lookups", "bits off", "complexity", "compile s"]
    head += ["keys s", "predict s"]
    for model in MODELS:
        exact = float_accuracy(model)
        samples = {
            row["samples"]
            for s in results
            for row in of_model(results, s, model)
            if "samples" in row
        }
        if not samples:
            continue
        text += f"\n### {TITLES[model]}\n\nFloat accuracy {exact:.4f} on {max(samples)} samples. "
        text += "Complexity of the cheapest setting found:\n\n"
        text += compared(results, model, exact) + "\n"
        for system in results:
            rows = of_model(results, system, model)
            points = [columns(row) for row in front(rows)]
            own = head
            if system != "cml" and "cml" in results:
                own = [*head, "cml is cheaper by"]
                for point, row in zip(points, front(rows), strict=True):
                    ours = cheapest(of_model(results, "cml", model), row["accuracy"])
                    point.append("" if ours is None else f"{row['complexity'] / ours:.2f}")
            text += f"\n{NAMES[system]}, best of {len(rows)} settings:\n\n{table(own, points)}\n"
        named = [row for row in of_model(results, "cml", model) if len(row["setting"]) <= 1]
        points = [columns(row) for row in named if "accuracy" in row]
        text += f"\ncml without tuning:\n\n{table(head, points)}\n"
    return text


def draw(results: dict) -> None:
    """Draw accuracy against complexity, a panel for each model."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "cml", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot
    from matplotlib.ticker import PercentFormatter

    styles = {"cml": ("tab:blue", "o"), "concrete_ml": ("tab:orange", "s")}
    figure, panels = pyplot.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for panel, model in zip(panels.flat, MODELS, strict=True):
        exact = float_accuracy(model)
        panel.axhline(exact, color="grey", linewidth=0.8, linestyle=":", label="float")
        fronts = {system: front(of_model(results, system, model)) for system in results}
        lowest = min([exact, *(row["accuracy"] for best in fronts.values() for row in best)])
        bottom = max(lowest, exact - 0.12) - 0.005
        for system, best in fronts.items():
            color, marker = styles[system]
            rows = [
                row
                for row in of_model(results, system, model)
                if row.get("accuracy", -1.0) >= bottom and row not in best
            ]
            panel.plot(
                [row["complexity"] for row in rows],
                [row["accuracy"] for row in rows],
                marker,
                color=color,
                alpha=0.25,
                markersize=4,
                markeredgewidth=0,
            )
            best = [row for row in best if row["accuracy"] >= bottom]
            panel.step(
                [row["complexity"] for row in best],
                [row["accuracy"] for row in best],
                where="post",
                color=color,
                marker=marker,
                markersize=5,
                label=NAMES[system],
            )
        panel.set_xscale("log")
        panel.set_ylim(bottom, exact + 0.02)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.set_title(TITLES[model], fontsize=9)
        panel.set_xlabel("complexity")
        panel.set_ylabel("accuracy")
        panel.grid(linewidth=0.3)
    panels.flat[0].legend(loc="lower right")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # matplotlib ends lines with blanks, which editors and linters take away.
    lines = PICTURE.read_text(encoding="utf-8").splitlines()
    PICTURE.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def write_report() -> None:
    """Write tables and picture into `docs/`."""
    results = read()
    draw(results)
    write_section(BEGIN, END, f"{INTRODUCTION}\n{tables(results)}")


def write_section(begin: str, end: str, section: str) -> None:
    """Write what stands between two marks, which are added to the page if it has none."""
    path = DOCS / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    if begin not in text:
        text = text.rstrip() + f"\n\n{begin}\n{end}\n"
    before, rest = text.split(begin)
    section = f"{begin}\n\n{section}\n{end}"
    path.write_text(before + section + rest.split(end)[1], encoding="utf-8")


if __name__ == "__main__":
    write_report()
