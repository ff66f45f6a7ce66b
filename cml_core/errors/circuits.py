"""Why a model cannot be quantized or compiled, or a circuit not be used."""

from __future__ import annotations

from typing import Any

import attrs

from cml_core.errors.base import CmlError, bullets, sentence

__all__ = [
    "BackendUnavailableError",
    "BitWidthError",
    "CircuitError",
    "CircuitMismatchError",
    "ConfigError",
    "ExportError",
    "KeysMissingError",
    "QuantizationError",
    "WideLookup",
]


@attrs.define(eq=False, slots=False)
class ConfigError(CmlError):
    """An option has a value that cannot work.

    Parameters
    ----------
    argument : str
        The option.
    value : object
        The value that it was given.
    expected : str
        Which values are possible.
    """

    argument: str
    value: Any
    expected: str

    def message(self) -> str:
        return f"{self.argument}={self.value!r} is not possible: expected {self.expected}."


@attrs.define(eq=False, slots=False)
class QuantizationError(CmlError):
    """A node cannot be brought onto encrypted integers.

    Parameters
    ----------
    node : str
        The node's name.
    op_type : str
        Its operator.
    reason : str
        Why it cannot be.
    hint : str
        What would help; may be empty.
    """

    node: str
    op_type: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(
            f"node {self.node!r} ({self.op_type}) cannot be computed on encrypted integers: "
            f"{self.reason}.",
            self.hint,
        )


@attrs.define(eq=False, slots=False)
class ExportError(CmlError):
    """A quantized model has no form as an ONNX model.

    Parameters
    ----------
    reason : str
        Why not.
    hint : str
        What would help; may be empty.
    """

    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"the model cannot be exported to ONNX: {self.reason}.", self.hint)


@attrs.frozen
class WideLookup:
    """A table lookup (or an encrypted result) that is wider than a compiler allows.

    Parameters
    ----------
    node : str
        The node that the integer belongs to.
    width : int
        Its bits.
    role : str
        `"lookup"`, or `"result"` for an encrypted result.
    """

    node: str
    width: int
    role: str = "lookup"

    def describe(self) -> str:
        """Say in one line which node it is and how wide."""
        what = "feeds a table lookup with" if self.role == "lookup" else "gives a result of"
        return f"node {self.node!r} {what} {self.width} bits"


@attrs.define(eq=False, slots=False)
class BitWidthError(CmlError):
    """Integers that are too wide for the compiler; every such node is listed.

    Parameters
    ----------
    lookups : tuple of WideLookup
        Every integer that is too wide.
    limit : int
        What the compiler allows, in bits.
    backend : str
        The compiler's name; may be empty.
    """

    lookups: tuple[WideLookup, ...]
    limit: int
    backend: str = ""

    def message(self) -> str:
        who = f"The {self.backend} compiler allows" if self.backend else "Concrete allows"
        return (
            f"{who} {self.limit} bits." + bullets([w.describe() for w in self.lookups]) + "\n"
            "Lower n_bits (or weight_bits / activation_bits of these nodes through "
            "QuantConfig.nodes), or lower rounding_bits."
        )


@attrs.define(eq=False, slots=False)
class BackendUnavailableError(CmlError):
    """No FHE compiler (or not the one asked for) is installed.

    Parameters
    ----------
    backend : str
        The compiler that was asked for; empty if any would have done.
    installed : tuple of str
        The compilers that there are.
    hint : str
        What to install.
    """

    backend: str
    installed: tuple[str, ...]
    hint: str

    def message(self) -> str:
        have = f"installed: {', '.join(self.installed)}" if self.installed else "none is installed"
        what = f"FHE compiler {self.backend!r} is" if self.backend else "an FHE compiler is"
        return sentence(f"{what} not available ({have}).", self.hint)


@attrs.define(eq=False, slots=False)
class CircuitError(CmlError):
    """The FHE compiler refused the circuit or failed to run it.

    Parameters
    ----------
    backend : str
        The compiler.
    action : str
        What it was to do.
    reason : str
        What it said.
    hint : str
        What would help; may be empty.
    """

    backend: str
    action: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"{self.backend} could not {self.action}: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class CircuitMismatchError(CmlError):
    """Keys or ciphertexts do not belong to the circuit that is to use them.

    Parameters
    ----------
    what : str
        What was given.
    action : str
        What was to be done with it.
    reason : str
        What is different.
    hint : str
        What would help; may be empty.
    """

    what: str
    action: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"cannot {self.action} with these {self.what}: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class KeysMissingError(CmlError):
    """An encrypted operation was asked for before any keys were generated.

    Parameters
    ----------
    action : str
        What needs keys.
    """

    action: str

    def message(self) -> str:
        return f"cannot {self.action}: this circuit has no keys yet. Call keygen() first."
