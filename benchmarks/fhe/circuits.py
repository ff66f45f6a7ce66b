"""What both workers do alike: answer jobs, count lookups in a circuit, name their versions.

Runs in either system's environment (Python 3.10 and later) and imports nothing of them.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import platform
import re
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

MODELS = Path(__file__).parent / "models"
P_ERROR = 2.0**-40

_OPERATION = re.compile(r'"(FHE(?:Linalg)?\.\w+)"\([^:]*(?:\{[^}]*\})? : \(([^)]*)\) -> (.*)')
_SIGNATURE = re.compile(r"func\.func @\w+\((.*?)\) -> (.*) \{")
_ENCRYPTED = re.compile(r"(?:tensor<((?:\d+x)+)!FHE\.e(?:s)?int<(\d+)>>|!FHE\.e(?:s)?int<(\d+)>)")


def count_lookups(mlir: str) -> tuple[dict[int, int], int]:
    """Count table lookups by the width of their input, and the bits that exact rounding takes off.

    Both come from the MLIR which Concrete makes of a circuit: the widths are those that its
    optimizer chooses parameters for.
    """
    lookups: dict[int, int] = {}
    rounded = 0
    for name, operands, result in _OPERATION.findall(mlir):
        kind = name.split(".")[1]
        found = _ENCRYPTED.search(operands)
        if found is None:
            continue
        shape, inside, alone = found.groups()
        elements = math.prod(int(n) for n in shape.split("x")[:-1]) if shape else 1
        width = int(inside or alone)
        if "lookup_table" in kind or kind in ("lsb", "to_bool"):
            lookups[width] = lookups.get(width, 0) + elements
        elif kind == "round":
            kept = _ENCRYPTED.search(result)
            rounded += elements * (width - int(kept.group(2) or kept.group(3)))
    return lookups, rounded


def count_ciphertexts(mlir: str) -> tuple[int, int]:
    """Count the integers that a circuit takes and gives, each a ciphertext of its own."""
    taken, given = _SIGNATURE.search(mlir).groups()
    return _encrypted_elements(taken), _encrypted_elements(given)


def _encrypted_elements(types: str) -> int:
    shapes = [found[1] or "" for found in _ENCRYPTED.finditer(types)]
    return sum(math.prod(int(n) for n in shape.split("x")[:-1]) for shape in shapes)


def measure(job: dict, circuit, mlir: str, clear, simulate, keygen, predict) -> dict:
    """Measure a compiled circuit: its size, accuracy in the clear, and what the job asks for.

    `clear`, `simulate` and `predict` take samples and return classes. Simulated accuracy knows of
    approximate rounding, and counts values which leave the range that calibration saw with the
    wrong results they would have; clear accuracy knows of neither.
    """
    data = np.load(MODELS / f"{job['model']}.npz")
    test, labels = data["test"], data["labels"]
    result = {
        "clear_accuracy": float(np.mean(clear(test) == labels)),
        "samples": len(test),
        **circuit_size(circuit, mlir),
    }
    if job["simulate"]:
        simulated = simulate(test)
        result["accuracy"] = float(np.mean(simulated == labels))
    if job["encrypt"]:
        times, decrypted = encrypted(keygen, predict, test[: job["encrypt"]])
        right = int(np.sum(decrypted == labels[: len(decrypted)]))
        result |= {**times, "encrypted_right": right}
    return result


def circuit_size(circuit, mlir: str) -> dict:
    """What Concrete says of a circuit, and the lookups in it."""
    lookups, rounded = count_lookups(mlir)
    return {
        "lookups": {str(width): lookups[width] for width in sorted(lookups)},
        "rounded_bits": rounded,
        "bootstraps": int(circuit.programmable_bootstrap_count),
        "complexity": float(circuit.complexity),
    }


def encrypted(keygen, predict, samples) -> tuple[dict, np.ndarray]:
    """Generate keys and predict on encrypted samples one by one: times, and the classes."""
    _, keys = seconds(keygen)
    runs = [seconds(lambda: predict(sample[np.newaxis])) for sample in samples]  # noqa: B023
    median = statistics.median(time for _, time in runs)
    times = {"keys_seconds": keys, "predict_seconds": median}
    return times, np.concatenate([answer for answer, _ in runs])


def seconds(action):
    """Run an action; return what it returned and how long it took."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def serve(answer, packages: tuple[str, ...]) -> None:
    """Answer jobs, one line of JSON each on standard input, until it ends.

    The first line of output tells the versions. Whatever libraries print goes to standard error.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    versions = {name: _version(name) for name in packages}
    _reply(replies, {"python": platform.python_version(), **versions})
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = answer(job)
        except Exception as error:  # whatever a library refuses a setting with is recorded
            reason = " ".join(str(error).split())
            result = {"refused": f"{type(error).__name__}: {reason[:300]}"}
        _reply(replies, result)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return importlib.import_module(name).__version__  # distributed under another name


def _reply(replies, content: dict) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()
