"""cml beside Concrete-ML on tree ensembles: labels, lookups, complexity and time.

    python benchmarks/trees/run.py --concrete-ml PYTHON [--encrypt] [--resume [SYSTEM ...]]

PYTHON is an interpreter that has Concrete-ML; each system runs as a process of its own, one after
the other, and reads the same arrays from a temporary file. With `--encrypt`, samples are encrypted
wherever complexity and keys are small. Rows go to `results.json`, tables into the documentation.
With `--resume`, what that file holds of the same versions, machine and data is kept, of the systems
that are named (`cml`, `concrete_ml`) or of both.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from measurement import digest
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.model_selection import train_test_split
from tables import BITS, DATA, DEFAULT, ENCODED, ENSEMBLES, IMPORTED, RESULTS, UNIFORM, write_report
from worker import Worker, machine

HERE = Path(__file__).parent
WORKERS = {"cml": HERE / "cml_worker.py", "concrete_ml": HERE / "concrete_ml_worker.py"}
# Settings whose simulation is compared with the clear, and others that are only compiled.
SETTINGS = {
    "cml": (list(ENCODED.values()), [s for s in UNIFORM.values() if s not in ENCODED.values()]),
    "concrete_ml": ([DEFAULT], [*(s for s in BITS.values() if s != DEFAULT), IMPORTED]),
}
SIMULATED, ENCRYPTED = 100, 3
# Encrypted are circuits that cost no more than this, with keys of no more than so many bytes.
MOST_COMPLEX, LARGEST_KEYS = 8e10, 3e9


def data_sets(names: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Samples to train on and to test, two fifths of all, in float32 and with integer labels."""
    made = make_classification(n_samples=1000, n_features=10, n_informative=5, random_state=0)
    sources = {
        "breast_cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(n_class=5, return_X_y=True),
        "synthetic": made,
    }
    sets = {}
    for name in names:
        samples, labels = sources[name]
        parts = train_test_split(
            samples.astype(np.float32),
            labels.astype(np.int64),
            test_size=0.4,
            random_state=0,
            stratify=labels,
        )
        fields = ("train", "test", "train_labels", "test_labels")
        sets[name] = dict(zip(fields, parts, strict=True))
    return sets


def sweep(
    worker: Worker, system: str, data: dict, ensembles: list[str], rows: list[dict], encrypt: bool
):
    """Measure a system, what `rows` hold already excepted; yields after each measurement."""
    named, others = SETTINGS[system]
    for (name, source), ensemble in product(data.items(), ensembles):
        for setting in named + others:
            key = {"data": name, "ensemble": ensemble, "setting": setting}
            row = next((row for row in rows if key.items() <= row.items()), None)
            estimator, parameters, _ = ENSEMBLES[ensemble]
            what = {"estimator": estimator, "parameters": parameters, "setting": setting}
            job = {**source, **what, "simulate": 0, "encrypt": 0}
            if row is None:
                row = {**key, "digest": source["digest"]}
                if not rows:
                    worker.answer(job)  # so that no compilation is charged for imports
                rows.append(row)
                row.update(worker.answer({**job, "simulate": SIMULATED * (setting in named)}))
                if setting in others:
                    row.pop("float_labels", None)
                yield row
            small = row.get("complexity", np.inf) <= MOST_COMPLEX
            small = small and row["keys_bytes"] <= LARGEST_KEYS
            if encrypt and small and setting in named and "predict_seconds" not in row:
                row.update(worker.answer({**job, "encrypt": ENCRYPTED}))
                yield row


def save(results: dict) -> None:
    """Write results, a line for each row."""
    text = json.dumps(results, separators=(",", ":")).replace('{"data"', '\n{"data"')
    RESULTS.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Measure both systems and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concrete-ml", metavar="PYTHON", required=True)
    parser.add_argument("--encrypt", action="store_true", help="generate keys and predict")
    parser.add_argument("--resume", nargs="*", choices=WORKERS, help="keep what is measured")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--ensembles", nargs="+", default=list(ENSEMBLES), choices=list(ENSEMBLES))
    chosen = parser.parse_args()
    old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results: dict[str, dict] = {}

    def known(row: dict) -> bool:
        return row["data"] not in data or row["digest"] == data[row["data"]]["digest"]

    with tempfile.TemporaryDirectory() as folder:
        data = {}
        for name, arrays in data_sets(chosen.data).items():
            path = Path(folder) / f"{name}.npz"
            np.savez(path, **arrays)
            data[name] = {"path": str(path), "digest": digest(arrays)}
        for system, script in WORKERS.items():
            python = sys.executable if system == "cml" else chosen.concrete_ml
            worker = Worker(python, script)
            where = {"machine": machine(), "versions": worker.versions}
            stored = old.get(system, {"rows": []})
            kept = chosen.resume is not None and system in (chosen.resume or WORKERS)
            same = kept and all(stored.get(key) == where[key] for key in where)
            rows = [row for row in stored["rows"] if same and known(row)]
            results[system] = {**where, "rows": rows}
            for row in sweep(worker, system, data, chosen.ensembles, rows, chosen.encrypt):
                shown = {key: value for key, value in row.items() if key != "float_labels"}
                print(system, json.dumps(shown), file=sys.stderr, flush=True)
                save({**old, **results})
            worker.close()
    write_report(results)


if __name__ == "__main__":
    main()
