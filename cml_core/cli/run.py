"""`cml run`: a model in float."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.terminal import show_text

__all__ = ["run"]


def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model.")],
    inputs: Annotated[
        Path,
        typer.Option("--input", metavar="X.npz", help="Arrays by the names of the inputs."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Y.npz", help="Where to write arrays by output name."),
    ],
) -> None:
    """Run a model in float, in NumPy, with no quantization."""
    from cml_core.cli.arrays import check_output, describe_arrays, read_arrays, write_arrays
    from cml_core.cli.progress import watched
    from cml_core.numpy_module import NumpyModule

    check_output(output)
    with watched() as steps:
        with steps.step("reading the model"):
            module = NumpyModule.from_onnx(model)
        feeds = read_arrays(inputs, module.inputs)
        with steps.step("running"):
            results = module.run(feeds)
        write_arrays(output, results)
    show_text(f"wrote {output}: {describe_arrays(results)}")
