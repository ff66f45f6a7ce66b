"""concrete-python: Concrete 2.x, for Python 3.9 to 3.12."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.fhe.backend import CircuitStatistics, CompiledWidths, FheOptions
from cml_core.fhe.concrete_circuit import (
    Readout,
    compile_traced,
    quiet_import,
    reported,
    samples_of,
    statistics,
)
from cml_core.fhe.mlir import read_widths
from cml_core.plugins.hookspecs import hookimpl
from cml_core.program.instructions import Program

NAME = "concrete-python"


@attrs.frozen(slots=True)
class _Dialect:
    fhe: Any
    approximate: bool

    def tag(self, name: str) -> Any:
        return self.fhe.tag(name)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return self.fhe.zeros(shape)

    def round(self, x: Any, lsbs: int, exact: bool) -> Any:
        kinds = self.fhe.Exactness
        exactness = kinds.EXACT if exact or not self.approximate else kinds.APPROXIMATE
        return self.fhe.round_bit_pattern(
            x, lsbs_to_remove=lsbs, overflow_protection=False, exactness=exactness
        )

    def conv2d(self, x: Any, weight: np.ndarray, strides: Any, dilations: Any, group: int) -> Any:
        return self.fhe.conv(
            x, weight, strides=tuple(strides), dilations=tuple(dilations), group=group
        )

    def univariate(self, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
        result: Callable[[Any], Any] = self.fhe.univariate(function)
        return result

    def gather(self, x: Any, index: np.ndarray) -> Any:
        return x[index]


def _fhe() -> Any:
    """The library, which takes seconds to import."""
    with reported(NAME, "be imported"), quiet_import():
        from concrete import fhe
    return fhe


def _without_low_bits() -> Any:
    """A step of the compiler's that makes rounded integers an output as they are.

    The compiler would look each of them up to give it back the zeros that rounding has left in
    its low bits. The client can do that for nothing.
    """
    from concrete.fhe.representation import GraphProcessor

    class WithoutLowBits(GraphProcessor):  # type: ignore[misc]
        def apply(self, graph: Any) -> None:
            for place, node in list(graph.output_nodes.items()):
                (first, *others) = graph.ordered_preds_of(node) or [None]
                restored = node.properties.get("name") == "reinterpret" and not others
                if restored and first.properties.get("name") == "round_bit_pattern":
                    graph.output_nodes[place] = first
                    if not list(graph.graph.successors(node)):
                        graph.graph.remove_node(node)

    return WithoutLowBits()


@attrs.frozen(slots=True, eq=False)
class _Client:
    client: Any
    read: Readout

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.read.shapes

    @property
    def has_keys(self) -> bool:
        return self.client.keys is not None and bool(self.client.keys.are_generated)

    def keygen(self, *, force: bool) -> None:
        with reported(NAME, "generate keys"):
            self.client.keygen(force=force)

    def encrypt(self, integers: Sequence[np.ndarray]) -> Any:
        with reported(NAME, "encrypt"):
            encrypted = self.client.encrypt(*samples_of(integers))
        return encrypted if isinstance(encrypted, tuple) else (encrypted,)

    def decrypt(self, encrypted: Any) -> list[np.ndarray]:
        with reported(NAME, "decrypt"):
            return self.read(self.client.decrypt(*encrypted))

    def specification(self) -> bytes:
        parameters = json.loads(self.client.specs.serialize())
        document = {"parameters": parameters, "outputs": attrs.asdict(self.read)}
        return json.dumps(document, sort_keys=True).encode()

    def keys(self) -> bytes:
        with reported(NAME, "write keys"):
            return bytes(self.client.keys.serialize())

    def restore(self, keys: bytes) -> None:
        with reported(NAME, "read keys"):
            self.client.keys.load_from_bytes(keys)

    def evaluation_keys(self) -> bytes:
        with reported(NAME, "write evaluation keys"):
            return bytes(self.client.evaluation_keys.serialize())


@attrs.define(slots=True, eq=False)
class _Circuit:
    program: Program
    circuit: Any
    statistics: CircuitStatistics
    client: _Client
    _simulates: bool = False

    def run(self, encrypted: Any, evaluation_keys: Any = None) -> Any:
        with reported(NAME, "run the circuit"):
            keys = (
                self.circuit.client.evaluation_keys if evaluation_keys is None else evaluation_keys
            )
            result = self.circuit.server.run(*encrypted, evaluation_keys=keys)
        return result if isinstance(result, tuple) else (result,)

    def simulate(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        with reported(NAME, "simulate"):
            if not self._simulates:
                self.circuit.enable_fhe_simulation()
                self._simulates = True
            return self.client.read(self.circuit.simulate(*samples_of(integers)))

    def widths(self) -> CompiledWidths:
        return read_widths(self.circuit.mlir)


@attrs.frozen(slots=True)
class ConcretePython:
    """The compiler of concrete-python 2.x: one precision per part of the circuit."""

    name: str = NAME
    priority: int = 20
    max_lookup_bits: int = 16
    max_bits: int = 32
    supports_approximate_rounding: bool = True

    def is_installed(self) -> bool:
        """Whether concrete-python is installed."""
        try:
            importlib.metadata.version(NAME)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def compile(self, program: Program, options: FheOptions) -> _Circuit:
        """Compile a program."""
        fhe = _fhe()
        approximate = options.rounding != "exact"
        dialect = _Dialect(fhe, approximate)
        circuit = compile_traced(
            NAME,
            program,
            dialect,
            fhe.Compiler,
            options,
            approximate=approximate,
            additional_post_processors=[_without_low_bits()],
            enable_tlu_fusing=False,
            compress_input_ciphertexts=True,
            parameter_selection_strategy=fhe.ParameterSelectionStrategy.MULTI,
        )
        per_node = {
            tag: int(count)
            for tag, count in circuit.programmable_bootstrap_count_per_tag.items()
            if tag
        }
        count = int(circuit.programmable_bootstrap_count)
        client = _Client(circuit.client, Readout.of(program, approximate=approximate))
        return _Circuit(program, circuit, statistics(circuit, count, per_node), client)

    def client(self, specification: bytes) -> _Client:
        """Make a client; ValueError, KeyError or TypeError if it is no specification."""
        fhe = _fhe()
        document = json.loads(specification)
        outputs = document["outputs"]
        shapes = tuple(tuple(map(int, shape)) for shape in outputs["shapes"])
        lost_bits = tuple(map(int, outputs["lost_bits"]))
        read = Readout(shapes, lost_bits, bool(outputs["approximate"]), bool(outputs["joined"]))
        with reported(NAME, "read the parameters"):
            parameters = json.dumps(document["parameters"]).encode()
            return _Client(fhe.Client(fhe.ClientSpecs.deserialize(parameters)), read)

    def pack(self, encrypted: Any) -> tuple[bytes, ...]:
        """Write one sample's ciphertexts."""
        with reported(NAME, "write ciphertexts"):
            return tuple(bytes(value.serialize()) for value in encrypted)

    def unpack(self, parts: Sequence[bytes]) -> Any:
        """Read one sample's ciphertexts."""
        fhe = _fhe()
        with reported(NAME, "read ciphertexts"):
            return tuple(fhe.Value.deserialize(part) for part in parts)

    def read_keys(self, content: bytes) -> Any:
        """Read evaluation keys."""
        fhe = _fhe()
        with reported(NAME, "read evaluation keys"):
            return fhe.EvaluationKeys.deserialize(content)


@hookimpl
def cml_fhe_backend() -> ConcretePython:
    """Provide concrete-python."""
    return ConcretePython()
