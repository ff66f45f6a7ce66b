"""What goes between client and server: ciphertexts and evaluation keys, as bytes or in files.

Both are `.cml` archives of data with checksums. Each names the circuit that it belongs to, so that
nothing is computed with what belongs to another one.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from cml_core.errors import CircuitError, CircuitMismatchError, DamagedFileError
from cml_core.fhe.backend import choose_backend
from cml_core.storage import archive_bytes, parts_of, read_content, write_file

__all__ = ["CircuitName", "EncryptedSamples", "EvaluationKeys", "read_document", "write_document"]

_FILE = "sent.json"
_CIPHERTEXTS, _KEYS = "ciphertexts", "evaluation keys"
#: What errors call content that comes from no file.
_BYTES = "the bytes given"


@attrs.frozen(slots=True)
class CircuitName:
    """Which circuit something belongs to.

    Parameters
    ----------
    backend : str
        Its compiler.
    version : str
        The compiler's version.
    digest : str
        SHA-256 of its parameters and of the client's side, in hexadecimal digits.
    """

    backend: str
    version: str
    digest: str

    def check(self, other: CircuitName, what: str, action: str) -> None:
        """Refuse what belongs to another circuit.

        Raises
        ------
        CircuitMismatchError
            It does.
        """
        if self.backend != other.backend or self.digest != other.digest:
            hint = "Use the files that were made with this circuit, or make them anew."
            here, there = (f"{name.backend} {name.version}" for name in (self, other))
            reason = "they belong to another circuit"
            if here != there:
                reason += f", compiled by {there}; this one is by {here}"
                hint = f"If the model is the same, use one version of the compiler. {hint}"
            raise CircuitMismatchError(what, action, reason, hint)


def write_document(kind: str, name: CircuitName, parts: Mapping[str, bytes], **facts: Any) -> bytes:
    """The content of a file of some kind that belongs to a circuit."""
    document = {"circuit": attrs.asdict(name), **facts}
    content = {_FILE: json.dumps(document, indent=1).encode(), **parts}
    return archive_bytes(content, kind=kind, packed=False)


def read_document(
    kind: str, content: bytes, source: str | os.PathLike[str]
) -> tuple[CircuitName, dict[str, Any], dict[str, bytes]]:
    """Read back what `write_document` gave: the circuit's name, other facts, and the parts.

    Raises
    ------
    DamagedFileError
        It is damaged, or of another kind.
    NewerFileError
        It was written by a newer cml.
    """
    parts = parts_of(content, source, kind=kind)
    try:
        document = json.loads(parts.pop(_FILE))
        name = CircuitName(**document.pop("circuit"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(Path(source), f"does not hold {kind}") from error
    return name, document, parts


@attrs.frozen(slots=True, eq=False, repr=False)
class EncryptedSamples:
    """Ciphertexts, one entry per sample.

    Parameters
    ----------
    ciphertexts : tuple
        Of each sample, in the compiler's own form.
    circuit : CircuitName
        The circuit that they belong to.
    stage : {"inputs", "results"}
        What is encrypted: what the circuit takes, or what it has computed.
    """

    ciphertexts: tuple[Any, ...]
    circuit: CircuitName
    stage: Literal["inputs", "results"]

    def __len__(self) -> int:
        return len(self.ciphertexts)

    def __repr__(self) -> str:
        return f"<EncryptedSamples: {self.stage} of {len(self)} samples>"

    def check(self, circuit: CircuitName, stage: str, action: str) -> None:
        """Refuse ciphertexts of another circuit, or of the other stage.

        Raises
        ------
        CircuitMismatchError
            They are.
        """
        if self.stage != stage:
            reason = f"they are {self.stage}, not {stage}"
            raise CircuitMismatchError(_CIPHERTEXTS, action, reason)
        circuit.check(self.circuit, _CIPHERTEXTS, action)

    def to_bytes(self) -> bytes:
        """Write them as data, for the way between client and server.

        Raises
        ------
        CircuitError
            The compiler has no format for them.
        """
        backend = choose_backend(self.circuit.backend)
        parts = {
            f"{place}/{part}": content
            for place, ciphertext in enumerate(self.ciphertexts)
            for part, content in enumerate(backend.pack(ciphertext))
        }
        return write_document(
            _CIPHERTEXTS, self.circuit, parts, stage=self.stage, samples=len(self)
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> EncryptedSamples:
        """Read what `to_bytes` gave.

        Raises
        ------
        DamagedFileError
            It is damaged, or something else.
        BackendUnavailableError
            The compiler that they are of is not installed.
        """
        return cls._read(content, _BYTES)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them to a file, whole or not at all."""
        write_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EncryptedSamples:
        """Read them from a file; errors are those of `from_bytes`."""
        return cls._read(read_content(path), path)

    @classmethod
    def _read(cls, content: bytes, source: str | os.PathLike[str]) -> EncryptedSamples:
        name, facts, parts = read_document(_CIPHERTEXTS, content, source)
        try:
            stage, count = facts["stage"], int(facts["samples"])
            if stage not in ("inputs", "results"):
                raise ValueError(stage)
            rows: list[list[bytes]] = [[] for _ in range(count)]
            for place, content in sorted(parts.items(), key=lambda item: _numbers(item[0])):
                rows[_numbers(place)[0]].append(content)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DamagedFileError(Path(source), f"does not hold {_CIPHERTEXTS}") from error
        return cls(tuple(_unpacked(name, row, source) for row in rows), name, stage)


def _numbers(name: str) -> tuple[int, int]:
    place, part = map(int, name.split("/"))
    return place, part


def _unpacked(name: CircuitName, parts: Sequence[bytes], source: str | os.PathLike[str]) -> Any:
    backend = choose_backend(name.backend)
    try:
        return backend.unpack(parts)
    except CircuitError as error:
        raise DamagedFileError(Path(source), "holds ciphertexts that cannot be read") from error


@attrs.frozen(slots=False, eq=False, repr=False)
class EvaluationKeys:
    """What a server needs to compute on one client's ciphertexts; it cannot decrypt with them.

    Parameters
    ----------
    circuit : CircuitName
        The circuit that they belong to.
    content : bytes
        The keys, in the compiler's own format.
    """

    circuit: CircuitName
    content: bytes

    @functools.cached_property
    def ready(self) -> Any:
        """The keys as the compiler uses them.

        Raises
        ------
        CircuitError
            They cannot be read.
        BackendUnavailableError
            The compiler that they are of is not installed.
        """
        return choose_backend(self.circuit.backend).read_keys(self.content)

    def __repr__(self) -> str:
        return f"<EvaluationKeys: {len(self.content)} bytes>"

    def to_bytes(self) -> bytes:
        """Write them as data, for the way to the server."""
        return write_document(_KEYS, self.circuit, {_KEYS: self.content})

    @classmethod
    def from_bytes(cls, content: bytes) -> EvaluationKeys:
        """Read what `to_bytes` gave.

        Raises
        ------
        DamagedFileError
            It is damaged, or something else.
        """
        return cls._read(content, _BYTES)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them to a file, whole or not at all."""
        write_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EvaluationKeys:
        """Read them from a file; errors are those of `from_bytes`."""
        return cls._read(read_content(path), path)

    @classmethod
    def _read(cls, content: bytes, source: str | os.PathLike[str]) -> EvaluationKeys:
        name, _, parts = read_document(_KEYS, content, source)
        if set(parts) != {_KEYS}:
            raise DamagedFileError(Path(source), f"does not hold {_KEYS}")
        return cls(name, parts[_KEYS])
