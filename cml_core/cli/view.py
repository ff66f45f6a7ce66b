"""`cml view`: a model's graph in the browser, drawn by Netron."""

from __future__ import annotations

import contextlib
import importlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cml_core.cli.terminal import show_text

__all__ = ["view"]

#: What a `.cml` file begins with: it is a zip.
_ARCHIVE = b"PK"


def view(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An ONNX model, or a quantized one (.cml).")
    ],
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=65535, help="Port on this machine.", show_default="a free one"
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only serve the page; open nothing.")
    ] = False,
) -> None:
    """Draw a model's graph in the browser, until Ctrl-C; of a quantized one, its integers."""
    from cml_core.errors import ConfigError

    netron = _netron()
    with _onnx_file(model) as path:
        try:
            host, found = netron.start(
                str(path), address=("localhost", port), browse=not no_browser
            )
        except OSError as error:
            expected = f"a port that is free ({error.strerror or error})"
            raise ConfigError("port", port, expected) from error
        with contextlib.suppress(KeyboardInterrupt):
            show_text(f"{model} is at http://{host}:{found} until Ctrl-C")
            netron.wait()
        netron.stop((host, found))


def _netron() -> Any:
    from cml_core.errors import MissingLibraryError

    try:
        netron = importlib.import_module("netron")
    except ImportError as error:
        raise MissingLibraryError("netron", "view") from error
    # It would say where it serves what, too.
    logging.getLogger("netron").setLevel(logging.WARNING)
    return netron


@contextlib.contextmanager
def _onnx_file(model: Path) -> Iterator[Path]:
    """The model as an ONNX file: the very file, or what a quantized one is exported to."""
    from cml_core.graph.load import read_model
    from cml_core.quantization.module import QuantizedModule

    if not _is_archive(model):
        read_model(model)
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="cml-view-") as folder:
        path = Path(folder) / f"{model.stem}.onnx"
        QuantizedModule.load(model).to_onnx(path)
        yield path


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_ARCHIVE)) == _ARCHIVE
    except OSError:
        return False  # Reading it as a model says what is wrong.
