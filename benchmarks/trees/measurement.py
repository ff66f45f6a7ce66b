"""What both workers do alike: read a data set, and measure an ensemble that was compiled.

Runs in either system's environment (Python 3.10 and later) and imports nothing of them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "fhe"))

from circuits import circuit_size, count_ciphertexts, encrypted

# Samples for calibration, the first ones of those trained on.
CALIBRATION = 200


def digest(data: dict[str, np.ndarray]) -> str:
    """What a data set is, in short."""
    found = hashlib.sha256()
    for name in sorted(data):
        found.update(f"{name} {data[name].dtype} {data[name].shape}".encode())
        found.update(np.ascontiguousarray(data[name]).tobytes())
    return found.hexdigest()[:16]


def read(job: dict) -> dict[str, np.ndarray]:
    """Read the data set that a job names, and make sure that it is the one."""
    with np.load(job["path"]) as file:
        data = dict(file)
    if digest(data) != job["digest"]:
        raise ValueError(f"{job['path']} is not what the driver wrote")
    return data


def measure(job: dict, data, circuit, exact, clear, simulate, keygen, predict) -> dict:
    """Measure a compiled ensemble: its size, its labels, and what the job asks for.

    `exact` are the labels of the float ensemble on the test samples; `clear` (integers without
    encryption), `simulate` and `predict` take samples and return labels.
    """
    test, labels = data["test"], data["test_labels"]
    found = clear(test)
    sent, received = count_ciphertexts(circuit.mlir)
    result = {
        "float_accuracy": float(np.mean(exact == labels)),
        "accuracy": float(np.mean(found == labels)),
        "as_float": float(np.mean(found == exact)),
        "samples": len(test),
        **circuit_size(circuit, circuit.mlir),
        "sent": sent,
        "sent_bytes": int(circuit.size_of_inputs),
        "received": received,
        "received_bytes": int(circuit.size_of_outputs),
        "keys_bytes": int(circuit.size_of_bootstrap_keys + circuit.size_of_keyswitch_keys),
        "float_labels": "".join(map(str, exact)),
    }
    if job["simulate"]:
        simulated = simulate(test[: job["simulate"]])
        result["simulated"] = len(simulated)
        result["simulated_as_clear"] = int(np.sum(simulated == found[: len(simulated)]))
    if job["encrypt"]:
        times, decrypted = encrypted(keygen, predict, test[: job["encrypt"]])
        same = int(np.sum(decrypted == found[: len(decrypted)]))
        result |= {**times, "encrypted": len(decrypted), "encrypted_as_clear": same}
    return result
