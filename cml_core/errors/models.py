"""What is wrong with a model, with a node of it, or with the way to it."""

from __future__ import annotations

from typing import Any

import attrs

from cml_core.errors.base import CmlError, bullets, sentence

__all__ = [
    "AttributeValueError",
    "ExporterError",
    "InvalidModelError",
    "ModelFileError",
    "NodeError",
    "TensorSizeError",
    "UnsupportedNode",
    "UnsupportedNodesError",
]


@attrs.define(eq=False, slots=False)
class ModelFileError(CmlError):
    """A file cannot be read as an ONNX model.

    Parameters
    ----------
    source : str
        The file, or what the model came from.
    reason : str
        Why it cannot be read.
    hint : str
        What would help; may be empty.
    """

    source: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"{self.source} cannot be read as an ONNX model: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class InvalidModelError(CmlError):
    """An ONNX model breaks the rules of the format; all its faults are listed.

    Parameters
    ----------
    source : str
        The model.
    faults : tuple of str
        Every fault, a sentence each.
    """

    source: str
    faults: tuple[str, ...]

    def message(self) -> str:
        count = len(self.faults)
        head = f"{self.source} is not a valid model ({count} fault{'s' if count > 1 else ''}):"
        return head + bullets(self.faults)


@attrs.frozen
class UnsupportedNode:
    """One node that stands in the way, why it does, and what would help.

    Parameters
    ----------
    node : str
        The node's name.
    domain : str
        The operator's domain, empty for `ai.onnx`.
    op_type : str
        The operator in ONNX's spelling.
    reason : str
        Why it stands in the way.
    hint : str
        What would help; may be empty.
    """

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
        return sentence(f"node {self.node!r} ({self.operator}): {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class UnsupportedNodesError(CmlError):
    """Nodes that no plugin can serve; every one of them is listed.

    Parameters
    ----------
    source : str
        The model.
    nodes : tuple of UnsupportedNode
        Every node that stands in the way.
    stage : str
        What the model cannot be: `"run"` or `"quantized"`.
    """

    source: str
    nodes: tuple[UnsupportedNode, ...]
    stage: str = "run"

    def message(self) -> str:
        count = len(self.nodes)
        head = f"{self.source} cannot be {self.stage}: {count} node{'s' if count > 1 else ''}"
        verb = "stand" if count > 1 else "stands"
        return f"{head} {verb} in the way." + bullets([n.describe() for n in self.nodes])


@attrs.define(eq=False, slots=False)
class NodeError(CmlError):
    """An operator failed on the values that reached it.

    Parameters
    ----------
    node : str
        The node's name.
    op_type : str
        Its operator.
    reason : str
        What went wrong.
    hint : str
        What would help; may be empty.
    """

    node: str
    op_type: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"node {self.node!r} ({self.op_type}) failed: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class AttributeValueError(CmlError):
    """An operator refuses the value of one of its attributes or inputs.

    Raised by operators themselves; the interpreter adds the node and raises `NodeError`.

    Parameters
    ----------
    name : str
        The attribute or input.
    value : object
        What it is.
    expected : str
        What would work.
    """

    name: str
    value: Any
    expected: str

    def message(self) -> str:
        return f"{self.name} is {self.value!r}, expected {self.expected}"


@attrs.define(eq=False, slots=False)
class TensorSizeError(CmlError):
    """An operator was asked for a tensor larger than the limit.

    Parameters
    ----------
    shape : tuple of int
        The tensor's shape.
    dtype : str
        Its dtype.
    size : int
        What it would take, in bytes.
    limit : int
        What is allowed, in bytes; see `cml_core.tensor_limit`.
    """

    shape: tuple[int, ...]
    dtype: str
    size: int
    limit: int

    def message(self) -> str:
        return (
            f"a tensor of shape {self.shape} and dtype {self.dtype} takes {self.size:,} bytes, and "
            f"the limit is {self.limit:,}. Set CML_MAX_TENSOR_BYTES, or use cml_core.tensor_limit."
        )


@attrs.define(eq=False, slots=False)
class ExporterError(CmlError):
    """Another library's model cannot be turned into an ONNX model; every attempt is quoted.

    Parameters
    ----------
    source : str
        The model.
    failures : tuple of pairs of str
        Of each attempt, the exporter and why it failed.
    hint : str
        What would help; may be empty.
    """

    source: str
    failures: tuple[tuple[str, str], ...]
    hint: str = ""

    def message(self) -> str:
        tried = bullets([f"{exporter}: {reason}" for exporter, reason in self.failures])
        text = f"{self.source} cannot be exported to ONNX.{tried}"
        return f"{text}\n{self.hint}" if self.hint else text
