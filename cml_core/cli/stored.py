"""Reading a `.cml` file for a command, so that every error names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from cml_core.errors import InvalidModelError, ModelFileError, UnsupportedNodesError

if TYPE_CHECKING:
    from cml_core.quantization.module import QuantizedModule

__all__ = ["load_module"]


def load_module(
    path: Path, read: Callable[[Path], QuantizedModule] | None = None
) -> QuantizedModule:
    """Read a quantized model; `read` does it, by default from the file.

    Raises
    ------
    StoredFileError
        The file is missing, damaged, or written by a newer cml.
    ModelFileError, InvalidModelError, UnsupportedNodesError
        Its tail, an ONNX model, cannot be read or run.
    """
    from cml_core.quantization.module import QuantizedModule

    try:
        return (read or QuantizedModule.load)(path)
    except (ModelFileError, InvalidModelError, UnsupportedNodesError) as error:
        raise attrs.evolve(error, source=f"the tail of {path}") from error
