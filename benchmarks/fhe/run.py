"""cml beside Concrete-ML on the same networks: accuracy, lookups, complexity and time.

    python benchmarks/fhe/run.py --concrete-ml PYTHON [--full] [--fresh | --resume] [--encrypt]

PYTHON is an interpreter that has Concrete-ML; each system runs as a process of its own, one after
the other. Every setting is compiled and its accuracy taken in the clear; those that could be on a
system's front of accuracy against complexity are simulated on all test samples. With `--encrypt`
up to four points of each front are encrypted. Rows go to `results/SYSTEM.json`; tables and
picture go where `report.py` puts them. With `--full`, what that file holds of Concrete-ML by the
same versions and models is taken from it, unless `--fresh`; times only if they are of the same
machine. With `--resume` so is what it holds of cml, which is for going on with a run that ended
early.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from report import front, write_report
from settings import MODELS, SETTINGS
from worker import Worker, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WORKERS = {"cml": HERE / "cml_worker.py", "concrete_ml": HERE / "concrete_ml_worker.py"}
ENCRYPTED_SAMPLES, ENCRYPTED_POINTS = 3, 4
# Above this complexity, keys alone would take minutes and gigabytes.
MOST_COMPLEX = 6e11
# What another machine would have measured otherwise; nothing else depends on it.
TIMES = ("compile_seconds", "keys_seconds", "predict_seconds", "encrypted_right")
# Approximate rounding may do better in simulation than in the clear, but seldom by this much.
DOUBT = 0.01


def digest(model: str) -> str:
    """What a model and its data are, in short."""
    parts = [(HERE / "models" / f"{model}{end}").read_bytes() for end in (".onnx", ".npz")]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def hopeless(row: dict, rows: list[dict]) -> bool:
    """Whether something cheaper was simulated at an accuracy which this setting will not reach."""
    doubt = DOUBT if "approximate" in row["setting"].values() else 0.0
    return any(
        other["complexity"] <= row["complexity"]
        and other.get("accuracy", -1.0) >= row["clear_accuracy"] + doubt
        for other in rows
    )


def spread(points: list[dict], count: int) -> list[dict]:
    """Take at most so many points, evenly, both ends among them."""
    if len(points) <= count:
        return points
    return [points[round(i * (len(points) - 1) / (count - 1))] for i in range(count)]


def sweep(worker: Worker, model: str, settings: list[dict], rows: list[dict], encrypt: bool):
    """Measure one system on one model, settings that are among `rows` already excepted.

    Yields after each measurement; `rows` holds what is measured so far.
    """

    def measure(row: dict, **wanted: int) -> None:
        job = {"model": model, "setting": row["setting"], "simulate": 0, "encrypt": 0, **wanted}
        row.update(worker.answer(job))
        shown = {k: v for k, v in row.items() if k not in ("model", "digest")}
        print(model, json.dumps(shown), file=sys.stderr, flush=True)

    for setting in settings:
        if not any(row["setting"] == setting for row in rows):
            rows.append({"model": model, "digest": digest(model), "setting": setting})
            measure(rows[-1])
            yield
    # Approximate rounding first: it is mostly cheaper, and simulates faster.
    good = [row for row in rows if "refused" not in row]
    good.sort(key=lambda row: ("approximate" not in row["setting"].values(), row["complexity"]))
    for row in good:
        named = len(row["setting"]) <= 1
        if "accuracy" not in row and (named or not hopeless(row, good)):
            measure(row, simulate=1)
            yield
    affordable = [row for row in front(rows) if row["complexity"] <= MOST_COMPLEX]
    for row in spread(affordable, ENCRYPTED_POINTS) if encrypt else []:
        if "predict_seconds" not in row:
            measure(row, encrypt=ENCRYPTED_SAMPLES)
            yield


def save(path: Path, results: dict) -> None:
    """Write results, a line for each row."""
    text = json.dumps(results, separators=(",", ":")).replace('{"model"', '\n{"model"')
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Measure both systems and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concrete-ml", metavar="PYTHON", help="interpreter with Concrete-ML")
    parser.add_argument("--full", action="store_true", help="all settings (hours)")
    parser.add_argument("--fresh", action="store_true", help="measure Concrete-ML anew")
    parser.add_argument("--resume", action="store_true", help="keep what is measured of cml too")
    parser.add_argument("--encrypt", action="store_true", help="generate keys and predict")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--systems", nargs="+", default=list(WORKERS), choices=list(WORKERS))
    chosen = parser.parse_args()
    if "concrete_ml" in chosen.systems and chosen.concrete_ml is None:
        parser.error("--concrete-ml PYTHON is needed to run Concrete-ML")
    RESULTS.mkdir(exist_ok=True)
    for system in chosen.systems:
        path = RESULTS / f"{system}.json"
        python = sys.executable if system == "cml" else chosen.concrete_ml
        worker = Worker(python, WORKERS[system])
        where = {"machine": machine(), "versions": worker.versions}
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
        same = old.get("versions") == worker.versions
        stored = [row for row in old["rows"] if same and row["digest"] == digest(row["model"])]
        if old.get("machine") != where["machine"]:
            stored = [{k: v for k, v in row.items() if k not in TIMES} for row in stored]
        kept = chosen.resume or (system == "concrete_ml" and chosen.full)
        if chosen.fresh or not kept:
            stored = [row for row in stored if row["model"] not in chosen.models]
        for model in chosen.models:
            rows = [row for row in stored if row["model"] == model]
            others = [row for row in stored if row["model"] != model]
            settings = SETTINGS[system](model, chosen.full)
            for _ in sweep(worker, model, settings, rows, chosen.encrypt):
                save(path, {**where, "rows": others + rows})
            stored = others + rows
        worker.close()
    write_report()


if __name__ == "__main__":
    main()
