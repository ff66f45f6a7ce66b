"""FheCircuit: a compiled model that predicts on encrypted data."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cml_core.errors import CircuitError, ConfigError, DamagedFileError
from cml_core.feeds import bind_arguments, unpack
from cml_core.fhe.backend import BackendCircuit, FheOptions, choose_backend
from cml_core.fhe.client import FheClient
from cml_core.fhe.report import CircuitReport, report_circuit
from cml_core.fhe.sent import EncryptedSamples, EvaluationKeys
from cml_core.fhe.widths import check_widths
from cml_core.plugins.registry import OpRegistry
from cml_core.samples import count_samples
from cml_core.storage import read_archive, write_archive

if TYPE_CHECKING:
    from cml_core.quantization.module import QuantizedModule

__all__ = ["FheCircuit"]

_FILE = "circuit.json"
Progress = Callable[[int, int], None]


@attrs.frozen(slots=False, eq=False, repr=False)
class FheCircuit:
    """A quantized model compiled to a circuit on encrypted integers.

    Its integers are those of the quantized module: clear execution, simulation and decrypted
    results agree bit for bit, but for the cryptography's probability of failure.

    Parameters
    ----------
    module : QuantizedModule
        What was compiled.
    options : FheOptions
        How.
    circuit : BackendCircuit
        The compiler's circuit.
    report : CircuitReport
        Bootstraps, bit widths, complexity, sizes, and figures per node.
    """

    module: QuantizedModule
    options: FheOptions
    circuit: BackendCircuit
    report: CircuitReport

    @classmethod
    def compile(
        cls, module: QuantizedModule, options: FheOptions | None = None, **changes: Any
    ) -> FheCircuit:
        """Compile a quantized module; see `QuantizedModule.compile`."""
        options = _options(options, changes)
        backend = choose_backend(options.backend)
        if not module.program.outputs:
            reason = "no output of the model depends on an encrypted value"
            raise CircuitError(backend.name, "compile the circuit", reason)
        check_widths(module.program, backend.name, backend.max_lookup_bits, backend.max_bits)
        start = time.perf_counter()
        circuit = backend.compile(module.program, options)
        seconds = time.perf_counter() - start
        report = report_circuit(backend.name, module.report(), circuit.statistics, seconds)
        return cls(module, attrs.evolve(options, backend=backend.name), circuit, report)

    def __repr__(self) -> str:
        report = self.report
        return (
            f"<FheCircuit by {report.backend}: {report.lookups} lookups, at most "
            f"{report.max_bit_width} bits, complexity {report.complexity:.3g}>"
        )

    # --- prediction ---

    @functools.cached_property
    def client(self) -> FheClient:
        """The client's side, with the keys; `FheClient.save` writes it for another machine."""
        return FheClient(self.module.client, self.report.backend, self.circuit.client)

    def keygen(self, *, force: bool = False) -> None:
        """Generate keys, unless there are some already or `force` asks for new ones."""
        self.client.keygen(force=force)

    def predict(self, *arrays: Any) -> Any:
        """Encrypt, run, decrypt and dequantize; positional arrays, one result or a tuple.

        Raises
        ------
        KeysMissingError
            `keygen` has not been called.
        InputError
            An input is missing, unknown, or of the wrong shape or dtype.
        """
        return unpack(self.run(self._named(arrays)))

    __call__ = predict

    def run(
        self,
        data: Any,
        *,
        progress: Progress | None = None,
        evaluation_keys: EvaluationKeys | None = None,
    ) -> Any:
        """Predict by name, or compute on samples that are encrypted already.

        Parameters
        ----------
        data : mapping or EncryptedSamples
            A mapping of input arrays gives a dict of outputs (encrypt, run, decrypt, dequantize);
            encrypted samples give encrypted results, which is the server's part alone.
        progress : callable, optional
            `progress(done, total)` after each sample.
        evaluation_keys : EvaluationKeys, optional
            Keys of the client that encrypted the samples, by default this circuit's own.

        Raises
        ------
        KeysMissingError
            There are no keys.
        CircuitMismatchError
            Keys or samples belong to another circuit.
        """
        if not isinstance(data, EncryptedSamples):
            self.client.need_keys("predict")
            integers = self.module.quantize_inputs(data)
            return self.module.dequantize_outputs(*self._each(integers, self._predict, progress))
        action, keys = "run the circuit", None
        if evaluation_keys is None:
            self.client.need_keys(action)
        else:
            self.client.circuit.check(evaluation_keys.circuit, "evaluation keys", action)
            keys = evaluation_keys.ready
        data.check(self.client.circuit, "inputs", action)
        results = []
        for ciphertext in data.ciphertexts:
            results.append(self.circuit.run(ciphertext, keys))
            if progress is not None:
                progress(len(results), len(data))
        return EncryptedSamples(tuple(results), data.circuit, "results")

    def _predict(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        client = self.circuit.client
        return client.decrypt(self.circuit.run(client.encrypt(sample)))

    def simulate(self, *arrays: Any, progress: Progress | None = None) -> Any:
        """Predict as `predict` does, with encryption simulated in the clear; needs no keys.

        A single mapping of arrays by name gives a dict of outputs.
        """
        named = len(arrays) == 1 and isinstance(arrays[0], Mapping)
        integers = self.module.quantize_inputs(arrays[0] if named else self._named(arrays))
        results = self._each(integers, self.circuit.simulate, progress)
        outputs = self.module.dequantize_outputs(*results)
        return outputs if named else unpack(outputs)

    def encrypt(self, *arrays: Any) -> EncryptedSamples:
        """Quantize and encrypt samples: the client's first part; see `FheClient.encrypt`."""
        return self.client.encrypt(*arrays)

    def decrypt(self, results: EncryptedSamples) -> Any:
        """Decrypt results: the client's last part; see `FheClient.decrypt`."""
        return self.client.decrypt(results)

    def _named(self, arrays: Sequence[Any]) -> Mapping[str, Any]:
        return bind_arguments(self.module.client.layout.inputs, arrays)

    def _each(
        self,
        integers: Sequence[np.ndarray],
        function: Callable[[Sequence[np.ndarray]], list[np.ndarray]],
        progress: Progress | None,
    ) -> list[np.ndarray]:
        count = count_samples(integers)
        results = []
        for place in range(count):
            results.append(function([array[place] for array in integers]))
            if progress is not None:
                progress(place + 1, count)
        return self.client.stack(results)

    # --- files ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the circuit to a `.cml` file, whole or not at all.

        The file holds the integer program, the client's side, the options and the report, as
        data; no keys and no machine code. Loading it compiles the program again.
        """
        options = {**attrs.asdict(self.options), "key_cache": None}
        document = {"options": options, "report": self.report.as_dict()}
        parts = {_FILE: json.dumps(document, indent=1).encode()}
        write_archive(path, {**self.module.to_parts(), **parts})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        options: FheOptions | None = None,
        *,
        registry: OpRegistry | None = None,
        **changes: Any,
    ) -> FheCircuit:
        """Read a circuit from a `.cml` file and compile its program.

        Parameters
        ----------
        path : path
            The file.
        options : FheOptions, optional
            In place of those in the file.
        changes
            Fields of `FheOptions` to set.

        Raises
        ------
        StoredFileError
            The file is missing, damaged, or written by a newer cml.
        """
        from cml_core.quantization.module import QuantizedModule

        parts = read_archive(path)
        module = QuantizedModule.from_parts(parts, path, registry)
        return cls.compile(module, options or stored_options(parts, path), **changes)


def stored_options(parts: Mapping[str, bytes], path: str | os.PathLike[str]) -> FheOptions:
    """The compiler options in a `.cml` file, the compiler itself left open."""
    if _FILE not in parts:
        return FheOptions()
    try:
        options = json.loads(parts[_FILE])["options"]
        return FheOptions(**{**options, "backend": None})
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(Path(path), "has unreadable compiler options") from error


def stored_report(
    parts: Mapping[str, bytes], path: str | os.PathLike[str]
) -> dict[str, Any] | None:
    """The report in a `.cml` file as plain data; None if it holds no compiled circuit."""
    if _FILE not in parts:
        return None
    try:
        report: dict[str, Any] = dict(json.loads(parts[_FILE])["report"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(Path(path), "has an unreadable report") from error
    return report


def _options(options: FheOptions | None, changes: Mapping[str, Any]) -> FheOptions:
    known = {field.name for field in attrs.fields(FheOptions)}
    for name in changes:
        if name not in known:
            raise ConfigError(name, changes[name], f"one of the options {', '.join(sorted(known))}")
    return attrs.evolve(options or FheOptions(), **changes)
