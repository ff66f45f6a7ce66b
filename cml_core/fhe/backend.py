"""FheBackend: the interface of a compiler, its options, and how one is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import attrs
import numpy as np
from attrs import validators

from cml_core.errors import BackendUnavailableError, ConfigError
from cml_core.plugins.discovery import BACKENDS, load_group
from cml_core.plugins.once import once
from cml_core.program.instructions import Program

__all__ = [
    "BackendCircuit",
    "BackendClient",
    "CircuitStatistics",
    "CompiledWidths",
    "FheBackend",
    "FheOptions",
    "choose_backend",
    "installed_backends",
]

Rounding = Literal["quantized", "exact"]


def _probability(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not (isinstance(value, float) and 0.0 < value < 1.0):
        raise ConfigError(attribute.name, value, "a probability between 0 and 1, such as 2**-40")


def _rounding(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("quantized", "exact"):
        raise ConfigError(attribute.name, value, "'quantized' or 'exact'")


@attrs.frozen(slots=True, kw_only=True)
class FheOptions:
    """How a circuit is compiled.

    Parameters
    ----------
    backend : str or None
        `"concrete-python"`, `"concrete-numpy"`, or a third party's; None takes what is installed.
    p_error : float
        Probability that one lookup fails, if `global_p_error` is None.
    global_p_error : float or None
        Probability that any lookup of the circuit fails, in place of `p_error`.
    rounding : {"quantized", "exact"}
        Round as the model was quantized, or exactly even where it allows approximate rounding.
    key_cache : path or None
        Folder where generated keys are kept *unprotected* and found again: for tests and trials.
    """

    backend: str | None = attrs.field(
        default=None, validator=validators.optional(validators.instance_of(str))
    )
    p_error: float = attrs.field(default=2.0**-40, validator=_probability)
    global_p_error: float | None = attrs.field(default=None, validator=_probability)
    rounding: Rounding = attrs.field(default="quantized", validator=_rounding)
    key_cache: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))

    @property
    def failure(self) -> dict[str, float]:
        """The failure probability as the compilers' own option."""
        if self.global_p_error is not None:
            return {"global_p_error": self.global_p_error}
        return {"p_error": self.p_error}


@attrs.frozen(slots=True)
class CircuitStatistics:
    """What a compiler says of its circuit; sizes in bytes, None where it does not say.

    Parameters
    ----------
    complexity : float
        Cost of one run, in the unit of Concrete's optimizer.
    programmable_bootstraps : int or None
        Bootstraps of one run, those of exact rounding included.
    bootstraps_per_node : mapping of str to int
        The same by node of the model.
    secret_keys, bootstrap_keys, keyswitch_keys, inputs, outputs : int
        Sizes of keys and of one sample's ciphertexts, in bytes.
    """

    complexity: float
    programmable_bootstraps: int | None
    bootstraps_per_node: Mapping[str, int]
    secret_keys: int
    bootstrap_keys: int
    keyswitch_keys: int
    inputs: int
    outputs: int


@attrs.frozen(slots=True)
class CompiledWidths:
    """Bit widths as they stand in a compiled circuit, for checks.

    Parameters
    ----------
    widest : int
        Of the widest encrypted integer.
    lookups : mapping of int to int, or None
        Table lookups of one run by the width that enters the table; None if the compiler has one
        width for the whole circuit.
    """

    widest: int
    lookups: Mapping[int, int] | None


class BackendClient(Protocol):
    """Keys of a circuit, encryption and decryption, without the circuit.

    Integers in and out are int64 arrays of shape S, of one sample. What becomes bytes is data: to
    read it back, nothing is unpickled or evaluated.
    """

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of one sample's results."""
        ...

    @property
    def has_keys(self) -> bool:
        """Whether there are keys."""
        ...

    def keygen(self, *, force: bool) -> None:
        """Generate keys, unless there are some already or `force` asks for new ones."""
        ...

    def encrypt(self, integers: Sequence[np.ndarray]) -> Any:
        """Encrypt one sample."""
        ...

    def decrypt(self, encrypted: Any) -> list[np.ndarray]:
        """Decrypt the results of one sample."""
        ...

    def specification(self) -> bytes:
        """What `FheBackend.client` makes such a client of; the same for equal circuits."""
        ...

    def keys(self) -> bytes:
        """All keys, the secret ones too."""
        ...

    def restore(self, keys: bytes) -> None:
        """Take back what `keys` gave."""
        ...

    def evaluation_keys(self) -> bytes:
        """What a server needs to compute, and cannot decrypt with."""
        ...


class BackendCircuit(Protocol):
    """A compiled circuit for one sample. Integers in and out are int64 arrays of shape S."""

    statistics: CircuitStatistics
    client: BackendClient

    def run(self, encrypted: Any, evaluation_keys: Any = None) -> Any:
        """Compute on one encrypted sample, with the client's keys if there are no others."""
        ...

    def simulate(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Compute on one sample in the clear, as the compiler says that encryption would."""
        ...

    def widths(self) -> CompiledWidths:
        """Read from the circuit itself, not from the program, how wide its integers are."""
        ...


@runtime_checkable
class FheBackend(Protocol):
    """A compiler.

    Attributes
    ----------
    name : str
        Under which it is chosen.
    priority : int
        Of several that are installed, the highest is taken.
    max_lookup_bits, max_bits : int
        Widest integer that may enter a lookup, and that a circuit with lookups may hold at all.
    supports_approximate_rounding : bool
        Whether approximate rounding is done as such; otherwise it is exact.
    """

    name: str
    priority: int
    max_lookup_bits: int
    max_bits: int
    supports_approximate_rounding: bool

    def is_installed(self) -> bool:
        """Whether the compiler can be imported, found out without importing it."""
        ...

    def compile(self, program: Program, options: FheOptions) -> BackendCircuit:
        """Compile a program whose widths have been checked.

        Raises
        ------
        CircuitError
            The compiler refused the circuit.
        """
        ...

    def client(self, specification: bytes) -> BackendClient:
        """Make a client of what `BackendClient.specification` gave."""
        ...

    def pack(self, encrypted: Any) -> tuple[bytes, ...]:
        """Write one sample's ciphertexts."""
        ...

    def unpack(self, parts: Sequence[bytes]) -> Any:
        """Read back what `pack` wrote."""
        ...

    def read_keys(self, content: bytes) -> Any:
        """Read what `BackendClient.evaluation_keys` gave."""
        ...


@once
def _known() -> tuple[FheBackend, ...]:
    found = [p.provides for p in load_group(BACKENDS) if p.status == "loaded"]
    return tuple(sorted(found, key=lambda backend: (-backend.priority, backend.name)))


def installed_backends() -> tuple[FheBackend, ...]:
    """The compilers that are installed, the preferred one first."""
    return tuple(backend for backend in _known() if backend.is_installed())


def choose_backend(name: str | None = None) -> FheBackend:
    """Return a compiler by name, or the preferred one of those installed.

    Raises
    ------
    BackendUnavailableError
        It is not installed; the error says which extra to install.
    """
    ready = installed_backends()
    for backend in ready:
        if name in (None, backend.name):
            return backend
    known = {backend.name for backend in _known()}
    extra = name if name in known else "fhe"
    hint = f"Install it with: pip install 'cml[{extra}]'."
    if name is not None and name not in known:
        hint = f"Known compilers are {', '.join(sorted(known))}."
    raise BackendUnavailableError(name or "", tuple(b.name for b in ready), hint)
