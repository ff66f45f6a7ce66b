"""`cml ops new`: a package of operators to begin with, or a further operator in one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.terminal import show_json, show_text

__all__ = ["new_operator"]


def new_operator(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The operator in ONNX's spelling: HardSwish.")
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A new folder, whose name becomes the distribution's, or that of a package of "
            "operators, which gets one more.",
        ),
    ],
    domain: Annotated[
        str, typer.Option("--domain", help="Its ONNX domain.", show_default="ai.onnx")
    ] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="elementwise, movement, linear or custom.")
    ] = "elementwise",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Begin an operator: write a package that installs, is found, and passes its tests.

    The module computes a sample of its kind, which you make yours.
    """
    from cml_core.new_package import NewOperator, write_operator
    from cml_core.plugins.registry import default_registry

    operator = NewOperator.of(name, domain, kind, default_registry())
    files = write_operator(operator, folder)
    if as_json:
        show_json(
            {
                "op_type": operator.op_type,
                "domain": operator.domain,
                "kind": operator.kind.value,
                "since_versions": operator.since_versions,
                "overrides": operator.overrides,
                "files": [str(path) for path in files],
            }
        )
        return
    module, package = files[0], files[0].parent.name
    show_text(f"wrote {module}" if len(files) == 1 else f"wrote {folder}: {len(files)} files")
    if operator.overrides:
        show_text(f"It overrides plugin {operator.overrides!r}.")
    show_text("next:")
    if len(files) > 1:
        show_text(f"  pip install -e {shlex.quote(f'{folder}[test]')}")
    show_text(f"  cml ops show {operator.op_type}")
    show_text(f"  cml ops check {package}")
    show_text(f"  edit {module}")
