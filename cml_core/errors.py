"""The errors of cml.

Everything that a user can cause is a `CmlError`. An error carries fields (which file, node,
argument, what was wrong, what would work), so that a program can act on it; its text is one
clear paragraph made from those fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

__all__ = [
    "AttributeValueError",
    "BackendUnavailableError",
    "BitWidthError",
    "CalibrationError",
    "CircuitError",
    "CmlError",
    "ConfigError",
    "DamagedFileError",
    "DuplicateOperatorError",
    "ExportError",
    "ExporterError",
    "InputDtypeError",
    "InputError",
    "InputNameError",
    "InputShapeError",
    "InvalidModelError",
    "KeysMissingError",
    "MissingLibraryError",
    "ModelFileError",
    "NewerFileError",
    "NodeError",
    "OutputFileError",
    "PluginError",
    "QuantizationError",
    "StoredFileError",
    "UnsupportedNode",
    "UnsupportedNodesError",
    "WideLookup",
]


class CmlError(Exception):
    """Base of every error that cml raises on purpose."""

    def message(self) -> str:
        """One paragraph for a person: what was wrong, where, and what would work."""
        return type(self).__name__

    def __str__(self) -> str:
        return self.message()


def _sentence(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _bullets(items: Sequence[str]) -> str:
    return "".join(f"\n  - {item}" for item in items)


# --- models ------------------------------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class ModelFileError(CmlError):
    """A file cannot be read as an ONNX model."""

    source: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(
            f"{self.source} cannot be read as an ONNX model: {self.reason}.", self.hint
        )


@attrs.define(eq=False, slots=False)
class InvalidModelError(CmlError):
    """An ONNX model breaks the rules of the format; all its faults are listed."""

    source: str
    faults: tuple[str, ...]

    def message(self) -> str:
        count = len(self.faults)
        head = f"{self.source} is not a valid model ({count} fault{'s' if count > 1 else ''}):"
        return head + _bullets(self.faults)


@attrs.frozen
class UnsupportedNode:
    """One node that stands in the way, why it does, and what would help."""

    node: str
    domain: str
    op_type: str
    reason: str
    hint: str = ""

    @property
    def operator(self) -> str:
        """The operator's name, with its domain if it is not `ai.onnx`."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    def describe(self) -> str:
        """Say in one line which node it is, the reason, and the remedy."""
        return _sentence(f"node {self.node!r} ({self.operator}): {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class UnsupportedNodesError(CmlError):
    """Nodes that no plugin can serve; every one of them is listed."""

    source: str
    nodes: tuple[UnsupportedNode, ...]
    stage: str = "run"

    def message(self) -> str:
        count = len(self.nodes)
        head = f"{self.source} cannot be {self.stage}: {count} node{'s' if count > 1 else ''}"
        verb = "stand" if count > 1 else "stands"
        return f"{head} {verb} in the way." + _bullets([n.describe() for n in self.nodes])


@attrs.define(eq=False, slots=False)
class NodeError(CmlError):
    """An operator failed on the values that reached it."""

    node: str
    op_type: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"node {self.node!r} ({self.op_type}) failed: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class AttributeValueError(CmlError):
    """An operator refuses the value of one of its attributes or inputs.

    Raised by operators themselves; the interpreter adds the node and raises `NodeError`.
    """

    name: str
    value: Any
    expected: str

    def message(self) -> str:
        return f"{self.name} is {self.value!r}, expected {self.expected}"


@attrs.define(eq=False, slots=False)
class ExporterError(CmlError):
    """Another library's model cannot be turned into an ONNX model; every attempt is quoted."""

    source: str
    failures: tuple[tuple[str, str], ...]
    hint: str = ""

    def message(self) -> str:
        tried = _bullets([f"{exporter}: {reason}" for exporter, reason in self.failures])
        text = f"{self.source} cannot be exported to ONNX.{tried}"
        return f"{text}\n{self.hint}" if self.hint else text


# --- plugins -----------------------------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class PluginError(CmlError):
    """A plugin failed to load, to register or to answer its hook."""

    plugin: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"plugin {self.plugin!r} failed: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class MissingLibraryError(CmlError):
    """A front end needs a library that is not installed."""

    library: str
    extra: str

    def message(self) -> str:
        return f"{self.library} is not installed. Install it with: pip install 'cml[{self.extra}]'."


@attrs.define(eq=False, slots=False)
class DuplicateOperatorError(CmlError):
    """Two plugins claim one operator revision, and neither says that it overrides the other."""

    key: str
    plugins: tuple[str, str]

    def message(self) -> str:
        first, second = self.plugins
        return (
            f"plugins {first!r} and {second!r} both provide {self.key}. Block one of them with "
            f"CML_DISABLE_PLUGINS, or let one declare overrides={first!r}."
        )


# --- values ------------------------------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class InputError(CmlError):
    """Base of what can be wrong with the arrays given to a model."""


@attrs.define(eq=False, slots=False)
class InputNameError(InputError):
    """Inputs are missing or have names that the model does not know."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    expected: tuple[str, ...]

    def message(self) -> str:
        return _sentence(
            f"missing input{'s' if len(self.missing) > 1 else ''}: {', '.join(self.missing)}."
            if self.missing
            else "",
            f"no such input: {', '.join(self.unknown)}." if self.unknown else "",
            f"The model's inputs are: {', '.join(self.expected)}.",
        )


@attrs.define(eq=False, slots=False)
class InputShapeError(InputError):
    """An input has the wrong rank or shape."""

    name: str
    shape: tuple[int, ...]
    expected: str

    def message(self) -> str:
        return f"input {self.name!r} has shape {self.shape}, expected {self.expected}."


@attrs.define(eq=False, slots=False)
class InputDtypeError(InputError):
    """An input has a dtype that does not convert to the model's without loss of meaning."""

    name: str
    dtype: str
    expected: str

    def message(self) -> str:
        return f"input {self.name!r} is of dtype {self.dtype}, expected {self.expected}."


@attrs.define(eq=False, slots=False)
class CalibrationError(CmlError):
    """Calibration data is empty or holds NaN or infinite values."""

    name: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"calibration data for {self.name!r} {self.reason}.", self.hint)


# --- quantization and compilation ---------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class ConfigError(CmlError):
    """An option has a value that cannot work."""

    argument: str
    value: Any
    expected: str

    def message(self) -> str:
        return f"{self.argument}={self.value!r} is not possible: expected {self.expected}."


@attrs.define(eq=False, slots=False)
class QuantizationError(CmlError):
    """A node cannot be brought onto encrypted integers."""

    node: str
    op_type: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(
            f"node {self.node!r} ({self.op_type}) cannot be computed on encrypted integers: "
            f"{self.reason}.",
            self.hint,
        )


@attrs.define(eq=False, slots=False)
class ExportError(CmlError):
    """A quantized model has no form as an ONNX model."""

    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"the model cannot be exported to ONNX: {self.reason}.", self.hint)


@attrs.frozen
class WideLookup:
    """A table lookup (or an encrypted result) that is wider than a compiler allows."""

    node: str
    width: int
    role: str = "lookup"

    def describe(self) -> str:
        """Say in one line which node it is and how wide."""
        what = "feeds a table lookup with" if self.role == "lookup" else "gives a result of"
        return f"node {self.node!r} {what} {self.width} bits"


@attrs.define(eq=False, slots=False)
class BitWidthError(CmlError):
    """Integers that are too wide for the compiler; every such node is listed."""

    lookups: tuple[WideLookup, ...]
    limit: int
    backend: str = ""

    def message(self) -> str:
        who = f"The {self.backend} compiler allows" if self.backend else "Concrete allows"
        return (
            f"{who} {self.limit} bits." + _bullets([w.describe() for w in self.lookups]) + "\n"
            "Lower n_bits (or weight_bits / activation_bits of these nodes through "
            "QuantConfig.nodes), or lower rounding_bits."
        )


@attrs.define(eq=False, slots=False)
class BackendUnavailableError(CmlError):
    """No FHE compiler (or not the one asked for) is installed."""

    backend: str
    installed: tuple[str, ...]
    hint: str

    def message(self) -> str:
        have = f"installed: {', '.join(self.installed)}" if self.installed else "none is installed"
        what = f"FHE compiler {self.backend!r} is" if self.backend else "an FHE compiler is"
        return _sentence(f"{what} not available ({have}).", self.hint)


@attrs.define(eq=False, slots=False)
class CircuitError(CmlError):
    """The FHE compiler refused the circuit or failed to run it."""

    backend: str
    action: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"{self.backend} could not {self.action}: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class KeysMissingError(CmlError):
    """An encrypted operation was asked for before any keys were generated."""

    action: str

    def message(self) -> str:
        return f"cannot {self.action}: this circuit has no keys yet. Call keygen() first."


# --- stored files -------------------------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class StoredFileError(CmlError):
    """A file cannot be read or is not what it should be."""

    path: Path
    reason: str
    hint: str = ""

    def message(self) -> str:
        return _sentence(f"{self.path}: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class DamagedFileError(StoredFileError):
    """A stored file is incomplete, altered, or of another kind."""


@attrs.define(eq=False, slots=False)
class NewerFileError(StoredFileError):
    """A stored file was written by a newer cml."""

    version: int = 0
    supported: int = 0


@attrs.define(eq=False, slots=False)
class OutputFileError(StoredFileError):
    """A file cannot be written."""
