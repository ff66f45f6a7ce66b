"""FheClient: the side of a circuit that has the keys, and neither program nor server."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cml_core.errors import (
    CircuitError,
    ConfigError,
    DamagedFileError,
    InvalidModelError,
    KeysMissingError,
    ModelFileError,
    UnsupportedNodesError,
)
from cml_core.feeds import bind_arguments, unpack
from cml_core.fhe.backend import BackendClient, choose_backend
from cml_core.fhe.sent import (
    CircuitName,
    EncryptedSamples,
    EvaluationKeys,
    read_document,
    write_document,
)
from cml_core.plugins.registry import OpRegistry
from cml_core.quantization.client import ClientSide
from cml_core.quantization.storage import client_from_parts, client_to_parts
from cml_core.samples import count_samples
from cml_core.storage import read_content, write_file

__all__ = ["FheClient"]

_CLIENT, _SECRET = "the client's side of a circuit", "secret keys"
_SPECIFICATION = "circuit-client.json"


@attrs.frozen(slots=False, eq=False, repr=False)
class FheClient:
    """The client's side of a circuit: keys, encryption, decryption.

    It has the grids of inputs and outputs and what is computed after decryption, and nothing of
    the program that the server runs.

    Parameters
    ----------
    side : ClientSide
        How inputs become integers and integers become outputs.
    backend : str
        The compiler's name.
    client : BackendClient
        Its keys and ciphertexts.
    """

    side: ClientSide
    backend: str
    client: BackendClient

    def __repr__(self) -> str:
        keys = "with keys" if self.client.has_keys else "without keys"
        return f"<FheClient by {self.backend}, {keys}>"

    @functools.cached_property
    def circuit(self) -> CircuitName:
        """The circuit that it belongs to."""
        digest = hashlib.sha256(self.client.specification())
        for name, content in sorted(client_to_parts(self.side).items()):
            digest.update(name.encode() + hashlib.sha256(content).digest())
        return CircuitName(self.backend, _version(self.backend), digest.hexdigest())

    # --- keys ---

    def keygen(self, *, force: bool = False) -> None:
        """Generate keys, unless there are some already or `force` asks for new ones."""
        self.client.keygen(force=force)

    @property
    def has_keys(self) -> bool:
        """Whether there are keys."""
        return self.client.has_keys

    def need_keys(self, action: str) -> None:
        """Refuse an action that needs keys if there are none.

        Raises
        ------
        KeysMissingError
            There are none.
        """
        if not self.client.has_keys:
            raise KeysMissingError(action)

    def save_keys(self, path: str | os.PathLike[str]) -> None:
        """Write all keys, the secret ones too, to a file that its owner alone may read.

        The file is not encrypted: who has it can decrypt.

        Raises
        ------
        KeysMissingError
            `keygen` has not been called.
        OutputFileError
            The file cannot be written.
        """
        self.need_keys("save the keys")
        content = write_document(_SECRET, self.circuit, {_SECRET: self.client.keys()})
        write_file(path, content, private=True)

    def load_keys(self, path: str | os.PathLike[str]) -> None:
        """Take keys from a file that `save_keys` wrote.

        Raises
        ------
        StoredFileError
            The file is missing, damaged, or holds something else.
        CircuitMismatchError
            They belong to another circuit.
        """
        name, _, parts = read_document(_SECRET, read_content(path), path)
        self.circuit.check(name, "keys", "encrypt or decrypt")
        try:
            self.client.restore(parts[_SECRET])
        except (KeyError, CircuitError) as error:
            raise DamagedFileError(Path(path), f"holds no {_SECRET} that can be read") from error

    def evaluation_keys(self) -> EvaluationKeys:
        """What the server needs; one set for all samples.

        Raises
        ------
        KeysMissingError
            `keygen` has not been called.
        """
        self.need_keys("make evaluation keys")
        return EvaluationKeys(self.circuit, self.client.evaluation_keys())

    # --- samples ---

    def encrypt(self, *arrays: Any) -> EncryptedSamples:
        """Quantize and encrypt samples: what comes before the server.

        Raises
        ------
        KeysMissingError
            There are no keys.
        InputError
            An input is missing, one too many, or of the wrong shape or dtype.
        """
        return self.encrypt_named(bind_arguments(self.side.layout.inputs, arrays))

    def encrypt_named(self, inputs: Mapping[str, Any]) -> EncryptedSamples:
        """Encrypt by name; see `encrypt`."""
        self.need_keys("encrypt")
        integers = [array.astype(np.int64) for array in self.side.encode(inputs)]
        samples = range(count_samples(integers))
        ciphertexts = (self.client.encrypt([a[i] for a in integers]) for i in samples)
        return EncryptedSamples(tuple(ciphertexts), self.circuit, "inputs")

    def decrypt(self, results: EncryptedSamples) -> Any:
        """Decrypt and dequantize results: what comes after the server; one array or a tuple.

        Raises
        ------
        KeysMissingError
            There are no keys.
        CircuitMismatchError
            They are results of another circuit, or no results.
        """
        return unpack(self.decrypt_named(results))

    def decrypt_named(self, results: EncryptedSamples) -> dict[str, np.ndarray]:
        """Decrypt by name; see `decrypt`."""
        self.need_keys("decrypt")
        if not isinstance(results, EncryptedSamples):
            raise ConfigError("results", type(results).__name__, "EncryptedSamples, of the server")
        results.check(self.circuit, "results", "decrypt")
        integers = [self.client.decrypt(ciphertext) for ciphertext in results.ciphertexts]
        return self.side.decode(self.stack(integers), len(results))

    def stack(self, results: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Integers `(N, *S)` for each output, from those of each sample."""
        if not results:
            shapes = self.client.output_shapes
            return [np.zeros((0, *shape), dtype=np.int64) for shape in shapes]
        return [np.stack(arrays) for arrays in zip(*results, strict=True)]

    # --- files ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a `.cml` file, whole or not at all; no keys, no program, no weights.

        What is computed after decryption is part of it, with its own constants.

        Raises
        ------
        CircuitError
            The compiler cannot keep client and server apart.
        OutputFileError
            The file cannot be written.
        """
        parts = {**client_to_parts(self.side), _SPECIFICATION: self.client.specification()}
        write_file(path, write_document(_CLIENT, self.circuit, parts))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, registry: OpRegistry | None = None) -> FheClient:
        """Read it from a `.cml` file; nothing is compiled.

        Raises
        ------
        StoredFileError
            The file is missing, damaged, or holds something else.
        BackendUnavailableError
            The circuit's compiler is not installed.
        """
        name, _, parts = read_document(_CLIENT, read_content(path), path)
        backend = choose_backend(name.backend)
        try:
            side = client_from_parts(parts, path, registry)
            client = backend.client(parts[_SPECIFICATION])
        except (ModelFileError, InvalidModelError, UnsupportedNodesError):
            raise
        except Exception as error:
            raise DamagedFileError(Path(path), f"does not hold {_CLIENT}") from error
        return cls(side, name.backend, client)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of no known version"
