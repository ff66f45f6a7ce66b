"""`cml predict`: a quantized model on integers, simulated, or encrypted."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.terminal import show_text

__all__ = ["Mode", "predict"]


class Mode(str, enum.Enum):
    """How to predict."""

    CLEAR = "clear"
    SIMULATE = "simulate"
    ENCRYPTED = "encrypted"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.cml", help="The compiled model.")],
    inputs: Annotated[
        Path,
        typer.Option("--input", metavar="X.npz", help="Arrays by the names of the inputs."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Y.npz", help="Where to write arrays by output name."),
    ],
    mode: Annotated[
        Mode,
        typer.Option(
            help="Integers in the clear, encryption simulated by the compiler, or encrypted."
        ),
    ] = Mode.CLEAR,
    backend: Annotated[
        str | None, typer.Option(help="FHE compiler; by default the one installed.")
    ] = None,
    key_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep keys in this folder, unprotected, and find them again: for trials only.",
        ),
    ] = None,
) -> None:
    """Predict with a quantized model; simulating and encrypting compile it again."""
    from cml_core.cli.arrays import check_output, describe_arrays, read_arrays, write_arrays
    from cml_core.cli.progress import watched
    from cml_core.errors import OutputFileError
    from cml_core.fhe.circuit import FheCircuit
    from cml_core.quantization.module import QuantizedModule

    check_output(output, model, inputs)
    if key_cache is not None and key_cache.exists() and not key_cache.is_dir():
        raise OutputFileError(key_cache, "is not a folder, and keys cannot be kept there")
    with watched() as steps:
        with steps.step("reading the model"):
            module = QuantizedModule.load(model)
        layout = module.client.layout
        feeds = read_arrays(inputs, layout.inputs)
        if mode is Mode.CLEAR:
            with steps.step("predicting on integers"):
                results = module.run(feeds)
        else:
            layout.split(feeds)  # Arrays that do not fit are refused before the long work.
            with steps.step("compiling the circuit again"):
                circuit = FheCircuit.load(model, backend=backend, key_cache=key_cache)
            if mode is Mode.SIMULATE:
                with steps.step("simulating") as advance:
                    results = circuit.simulate(feeds, progress=advance)
            else:
                with steps.step("generating keys"):
                    circuit.keygen()
                with steps.step("predicting on encrypted data") as advance:
                    results = circuit.run(feeds, progress=advance)
        write_arrays(output, results)
    show_text(f"wrote {output}: {describe_arrays(results)}")
