"""`cml export`: a quantized model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.terminal import show_text

__all__ = ["export"]


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL.cml", help="The compiled model.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="MODEL.onnx", help="Where to write the result.")
    ],
    integers: Annotated[
        bool,
        typer.Option(
            "--integers",
            help="The integer program alone, without the client's side: integers in, integers out.",
        ),
    ] = False,
) -> None:
    """Write a quantized model as ONNX of standard operators, for any runtime."""
    from cml_core.cli.arrays import check_output
    from cml_core.cli.progress import watched
    from cml_core.quantization.module import QuantizedModule

    check_output(output, model)
    with watched() as steps:
        with steps.step("reading the model"):
            module = QuantizedModule.load(model)
        with steps.step("exporting"):
            exported = module.to_onnx(output, integers=integers)
    opset = next(o.version for o in exported.opset_import if o.domain in ("", "ai.onnx"))
    show_text(f"wrote {output}: {len(exported.graph.node)} nodes, opset {opset}")
