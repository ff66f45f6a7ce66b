"""`cml evaluate`: the server's part, on samples that a client has encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.terminal import show_text

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL.cml", help="The compiled model.")],
    evaluation_keys: Annotated[
        Path,
        typer.Option("--evaluation-keys", metavar="FILE", help="The client's keys for the server."),
    ],
    inputs: Annotated[
        Path, typer.Option("--input", metavar="X.enc", help="What `cml client encrypt` wrote.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Y.enc", help="Where to write encrypted results."),
    ],
) -> None:
    """Compute on encrypted samples, which only their client can decrypt."""
    from cml_core.cli.arrays import check_output
    from cml_core.cli.progress import watched
    from cml_core.fhe.circuit import FheCircuit
    from cml_core.fhe.sent import EncryptedSamples, EvaluationKeys

    check_output(output, model, evaluation_keys, inputs)
    with watched() as steps:
        with steps.step("reading keys and samples"):
            keys, samples = EvaluationKeys.load(evaluation_keys), EncryptedSamples.load(inputs)
            samples.check(keys.circuit, "inputs", "run the circuit")
        with steps.step("compiling the circuit again"):
            circuit = FheCircuit.load(model, backend=keys.circuit.backend)
        with steps.step("computing on encrypted data") as advance:
            results = circuit.run(samples, evaluation_keys=keys, progress=advance)
        results.save(output)
    show_text(f"wrote {output}: {len(results)} encrypted results")
