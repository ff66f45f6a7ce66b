"""Tables of the benchmark, from `results.json`; writes them into the documentation.

python benchmarks/trees/tables.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from report import complexity, duration, ran_with, table, write_section

RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- bench-trees: begin -->", "<!-- bench-trees: end -->"
DATA = {
    "breast_cancer": "Breast cancer: 30 features, 2 classes",
    "digits": "Digits 0 to 4: 64 features, 5 classes",
    "synthetic": "Synthetic: 10 features, 2 classes",
}
# What the versions of XGBoost have other defaults for, and whatever else shapes its trees.
_BOOSTED = {
    "max_depth": 3,
    "learning_rate": 0.3,
    "tree_method": "exact",
    "grow_policy": "depthwise",
    "booster": "gbtree",
    "base_score": 0.5,
    "gamma": 0.0,
    "min_child_weight": 1.0,
    "max_delta_step": 0.0,
    "subsample": 1.0,
    "colsample_bytree": 1.0,
    "reg_alpha": 0.0,
    "reg_lambda": 1.0,
    "n_jobs": 1,
    "random_state": 0,
}
_GROWN = {"max_depth": 4, "random_state": 0}
_FOREST = {**_GROWN, "max_features": "sqrt", "n_jobs": 1}
# Estimator, parameters, and a name for readers.
ENSEMBLES = {
    "tree": ("DecisionTreeClassifier", _GROWN, "decision tree"),
    "forest_10": ("RandomForestClassifier", {**_FOREST, "n_estimators": 10}, "forest of 10"),
    "forest_50": ("RandomForestClassifier", {**_FOREST, "n_estimators": 50}, "forest of 50"),
    "boosted_10": ("XGBClassifier", {**_BOOSTED, "n_estimators": 10}, "XGBoost, 10 rounds"),
    "boosted_50": ("XGBClassifier", {**_BOOSTED, "n_estimators": 50}, "XGBoost, 50 rounds"),
}
# How many times cheaper than Concrete-ML each encoding is to be, and its setting.
GOALS = {"thermometer": 8, "bins": 4, "uniform": 1}
ENCODED = {form: {"thresholds": form} for form in GOALS}
# Uniform grids by width: cml's, whose default is 5 bits, and Concrete-ML's, whose default is 6.
WIDTHS = (2, 3, 4, 5, 6)
UNIFORM = {bits: {**ENCODED["uniform"], "input_bits": bits} for bits in WIDTHS}
UNIFORM[5] = ENCODED["uniform"]
BITS = {bits: {"n_bits": bits} for bits in WIDTHS}
DEFAULT = BITS[6]
IMPORTED = {**DEFAULT, "imported": True}
# What a setting may lose of the float ensemble's accuracy: about the standard error.
LOSS = 0.01

INTRODUCTION = """\
## Trees beside Concrete-ML

A decision tree and random forests of depth 4, and gradient boosting by XGBoost of depth 3, each on
three data sets, of which two fifths are for testing. Both systems read the same arrays, whose
digest their processes check, and fit their own estimators with the same parameters and seeds, by
the versions of scikit-learn and XGBoost in their environments; the failure probability is 2⁻⁴⁰ per
lookup, and the same 200 samples are for calibration. cml takes the fitted float ensemble over
through ONNX; all of `QuantConfig` but `thresholds` is as it comes. Concrete-ML puts features
on a grid of 6 bits, its default, and fits its trees on that. `make bench-trees` measures all but
what is encrypted, `make bench-trees BENCH_TREES=--encrypt` that too.

- *float* is the accuracy of the float ensemble of the system's own environment on all test samples,
  *accuracy* that of clear integers on the same ones; *as float* is how many of them get the float
  ensemble's label. Concrete-ML's trees are others than the float ensemble's, having been fitted
  on the grid, and need not agree with it to be as good: *accuracy* is what counts for them.
- *lookups* are counted in the MLIR of the circuit, as number × width of the input in bits. For
  comparisons, Concrete-ML takes bits off one after the other; each is a lookup of its own.
- *complexity* is the estimate of Concrete's optimizer for one sample. The two versions of
  concrete-python estimate the same for the same circuit (tried on four).
- *sent* and *received* are the ciphertexts of one sample. Those that are sent take 24 bytes each if
  they are compressed, to a seed and a number, and otherwise as many as those received.
- *compile* is, of cml, conversion to ONNX, quantization and compilation, and of Concrete-ML
  compilation alone, as its `fit` has done the rest. *predict* is the median of three samples:
  encryption, execution and decryption. Circuits above a complexity of 8e10 are not encrypted. Other
  work shared the machine, which times suffer from: within a factor of two they say little.

What the client learns of the model differs, and complexity has to be read with that:

- Concrete-ML tells it the range of each feature in the training data, and gives it what the leaf
  that was reached in each tree counts for each class, which it adds up itself.
- cml's `"uniform"` tells it the range of each feature in the calibration data. It alone hides as
  much as Concrete-ML does.
- cml's `"thermometer"` and `"bins"` tell it all thresholds that the ensemble compares each feature
  with, though not in which tree or where in it, nor what leaves are worth.
- With all three the client decrypts sums of what the leaves count, over all trees or several of
  them, some binary digits at a time.
"""
GOALS_TEXT = """
### How many times cheaper

Complexity of Concrete-ML by default, and how many times that of cml it is. The goals are 8 with
`"thermometer"`, 4 with `"bins"` and 1 with `"uniform"`; what falls short is in bold. *labels as
float* are those of cml's default, `"thermometer"`. The uniform grids are not equally fine: cml's
has 5 bits by default, Concrete-ML's 6.
"""
COARSE_TEXT = """
### At fewer bits

Concrete-ML's default is not its cheapest setting of use. Of its grids of 2 to 6 bits, this is the
cheapest whose accuracy is at most 0.01 below that of the float ensemble, and beside it the same of
cml's uniform grids; in the last three columns, how many times cheaper than it cml is, by encoding.
The choice is made on the test samples, which favours both uniform grids over the exact encodings.
"""
WIDTHS_TEXT = """
### Uniform grids by width

Accuracy and complexity by bits of the grid. *imported* is the float ensemble, taken over by
Concrete-ML's `from_sklearn_model` in place of its own fit.
"""


class Results:
    """Rows of both systems, to be found by what they measured."""

    def __init__(self, results: dict) -> None:
        self.systems = results

    def row(self, data: str, ensemble: str, setting: dict) -> dict | None:
        """The row of a setting, if it was not refused."""
        key = {"data": data, "ensemble": ensemble, "setting": setting}
        rows = [row for system in self.systems.values() for row in system["rows"]]
        return next((r for r in rows if key.items() <= r.items() and "refused" not in r), None)

    def cheapest(self, data: str, ensemble: str, settings: dict) -> dict | None:
        """The cheapest of some settings that are about as accurate as the float ensemble."""
        rows = [self.row(data, ensemble, setting) for setting in settings.values()]
        enough = [row for row in rows if row and row["accuracy"] >= row["float_accuracy"] - LOSS]
        return min(enough, key=lambda row: row["complexity"], default=None)

    def every(self) -> Iterator[tuple[str, str, list[str]]]:
        """Data, ensemble, and their names in a table, of all that was measured."""
        for data in DATA:
            for ensemble, (*_, name) in ENSEMBLES.items():
                if self.row(data, ensemble, DEFAULT):
                    yield data, ensemble, [data.replace("_", " "), name]


def cheaper(ours: dict | None, theirs: dict | None, goal: float = 0.0) -> str:
    """Write how many times cheaper a row of cml is; in bold if it falls short of a goal."""
    if ours is None or theirs is None:
        return ""
    ratio = theirs["complexity"] / ours["complexity"]
    return f"**{ratio:.1f}**" if ratio < goal else f"{ratio:.1f}"


def volume(count: int, size: int) -> str:
    """Write how many ciphertexts there are and how large they are together."""
    kibibytes = size / 1024
    return f"{count} ({kibibytes:.1f} KiB)" if kibibytes < 10 else f"{count} ({kibibytes:.0f} KiB)"


def goals(results: Results) -> str:
    """How many times cheaper than Concrete-ML's default cml is, beside the goals."""
    rows = []
    for data, ensemble, names in results.every():
        theirs = results.row(data, ensemble, DEFAULT)
        ours = {form: results.row(data, ensemble, ENCODED[form]) for form in GOALS}
        ratios = [cheaper(ours[form], theirs, goal) for form, goal in GOALS.items()]
        exact = ours["thermometer"]
        same = f"{exact['as_float']:.4f}" if exact else ""
        rows.append([*names, complexity(theirs["complexity"]), *ratios, same])
    return table(["data", "ensemble", "Concrete-ML", *GOALS, "labels as float"], rows)


def faster(results: Results) -> str:
    """How many times faster predictions were, where both systems were encrypted."""
    parts = []
    for form, setting in ENCODED.items():
        pairs = [
            [results.row(data, ensemble, s).get("predict_seconds") for s in (DEFAULT, setting)]
            for data, ensemble, _ in results.every()
            if results.row(data, ensemble, setting)
        ]
        ratios = [theirs / ours for theirs, ours in pairs if theirs and ours]
        if ratios:
            parts.append(f'{min(ratios):.1f} to {max(ratios):.1f} (`"{form}"`)')
    if not parts:
        return ""
    return (
        "\nWhere both were encrypted, Concrete-ML took longer to predict than cml by these\n"
        f"factors, which are below those of complexity: {', '.join(parts)}."
    )


def coarse(results: Results) -> str:
    """The same beside the cheapest of Concrete-ML's widths that is accurate enough."""
    rows = []
    for data, ensemble, names in results.every():
        theirs = results.cheapest(data, ensemble, BITS)
        ours = results.cheapest(data, ensemble, UNIFORM)
        shown = [
            f"{bits} bits, {row['accuracy']:.4f}, {complexity(row['complexity'])}"
            if row
            else "none"
            for row, bits in (
                (theirs, theirs and theirs["setting"]["n_bits"]),
                (ours, ours and ours["setting"].get("input_bits", 5)),
            )
        ]
        exact = [results.row(data, ensemble, ENCODED[form]) for form in ("thermometer", "bins")]
        rows.append([*names, *shown, *(cheaper(row, theirs) for row in (*exact, ours))])
    return table(["data", "ensemble", "Concrete-ML", "cml, uniform", *GOALS], rows)


def cells(row: dict, ratio: str) -> list[str]:
    """Write what was measured of a setting."""
    times = [row.get(key) for key in ("compile_seconds", "keys_seconds", "predict_seconds")]
    return [
        f"{row['float_accuracy']:.4f}",
        f"{row['accuracy']:.4f}",
        f"{row['as_float']:.4f}",
        " + ".join(f"{count}×{width}" for width, count in row["lookups"].items()),
        complexity(row["complexity"]),
        ratio,
        volume(row["sent"], row["sent_bytes"]),
        volume(row["received"], row["received_bytes"]),
        *map(duration, times),
    ]


def of_data(results: Results, data: str) -> str:
    """All that was measured on one data set, but for other settings."""
    head = ["ensemble", "system", "float", "accuracy", "as float", "lookups", "complexity"]
    head += ["Concrete-ML / cml", "sent", "received", "compile s", "keys s", "predict s"]
    rows = []
    for ensemble, (*_, name) in ENSEMBLES.items():
        theirs = results.row(data, ensemble, DEFAULT)
        for form, goal in GOALS.items():
            row = results.row(data, ensemble, ENCODED[form])
            if row:
                rows.append([name, f"cml, {form}", *cells(row, cheaper(row, theirs, goal))])
        if theirs:
            rows.append([name, "Concrete-ML", *cells(theirs, "")])
    return table(head, rows)


def widths(results: Results) -> str:
    """Both uniform grids by width, and the float ensemble taken over by Concrete-ML."""
    settings = [(f"cml, {bits}", setting) for bits, setting in UNIFORM.items()]
    settings += [(f"Concrete-ML, {bits}", setting) for bits, setting in BITS.items()]
    settings += [("Concrete-ML, 6, imported", IMPORTED)]
    rows = []
    for data, ensemble, names in results.every():
        found = [results.row(data, ensemble, setting) for _, setting in settings]
        shown = [
            f"{row['accuracy']:.3f}, {complexity(row['complexity'])}" if row else "refused"
            for row in found
        ]
        rows.append([*names, *shown])
    return table(["data", "ensemble", *(name for name, _ in settings)], rows)


def checks(results: Results) -> str:
    """What was compared on the side, in sentences."""
    lines = []
    for system, result in results.systems.items():
        rows = [row for row in result["rows"] if "refused" not in row]
        line = f"- {ran_with(system, result)}. Simulation gave the clear labels for "
        counts = [sum(r.get(key, 0) for r in rows) for key in ("simulated_as_clear", "simulated")]
        line += f"{counts[0]} of {counts[1]} samples"
        counts = [sum(r.get(key, 0) for r in rows) for key in ("encrypted_as_clear", "encrypted")]
        line += f", decryption for {counts[0]} of {counts[1]}." if counts[1] else "."
        lines.append(line)
    pairs = [
        [results.row(data, ensemble, setting) for setting in (ENCODED["bins"], DEFAULT)]
        for data, ensemble, _ in results.every()
    ]
    labels = [(a["float_labels"], b["float_labels"]) for a, b in (p for p in pairs if all(p))]
    same = sum(x == y for a, b in labels for x, y in zip(a, b, strict=True))
    total = sum(len(a) for a, _ in labels)
    equal = sum(a == b for a, b in labels)
    lines.append(
        f"- The float ensembles of the two environments agree on {same} of {total} test samples, "
        f"and on all of them for {equal} of {len(labels)} ensembles."
    )
    return "\n".join(lines)


def write_report(results: dict) -> None:
    """Write the section into `docs/`."""
    found = Results(results)
    parts = [
        INTRODUCTION,
        checks(found),
        GOALS_TEXT,
        goals(found),
        faster(found),
        COARSE_TEXT,
        coarse(found),
    ]
    for data, title in DATA.items():
        parts += [f"\n### {title}\n", of_data(found, data)]
    parts += [WIDTHS_TEXT, widths(found)]
    write_section(BEGIN, END, "\n".join(parts) + "\n")


if __name__ == "__main__":
    write_report(json.loads(RESULTS.read_text(encoding="utf-8")))
