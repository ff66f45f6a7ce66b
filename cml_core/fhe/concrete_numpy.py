"""concrete-numpy 0.11, for Python 3.8 to 3.10: the compiler that cml was conceived on."""

from __future__ import annotations

import importlib.metadata
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.errors import CircuitError
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

NAME = "concrete-numpy"


@attrs.frozen(slots=True)
class _Dialect:
    cnp: Any
    connx: Any

    def tag(self, name: str) -> Any:
        return self.cnp.tag(name)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return self.cnp.zeros(shape)

    def round(self, x: Any, lsbs: int, exact: bool) -> Any:
        return self.cnp.round_bit_pattern(x, lsbs_to_remove=lsbs)

    def conv2d(self, x: Any, weight: np.ndarray, strides: Any, dilations: Any, group: int) -> Any:
        return self.connx.conv(
            x, weight, strides=tuple(strides), dilations=tuple(dilations), group=group
        )

    def univariate(self, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
        result: Callable[[Any], Any] = self.cnp.univariate(function)
        return result

    def gather(self, x: Any, index: np.ndarray) -> Any:
        # This compiler cannot index with an array; a product with a 0/1 matrix moves as well.
        size = x.shape[0]
        chosen = np.zeros((size, index.size), dtype=np.int64)
        chosen[index.reshape(-1), np.arange(index.size)] = 1
        moved = x.reshape((1, size)) @ chosen
        return moved.reshape(index.shape) if index.shape else moved[0, 0]


def _apart(*_: Any) -> Any:
    """Refuse what this compiler has no format for."""
    reason = "it has no format for keys and ciphertexts on their way"
    hint = "concrete-python, on Python 3.11, has: pip install 'cml[concrete-python]'."
    raise CircuitError(NAME, "keep client and server apart", reason, hint)


@attrs.define(slots=True, eq=False)
class _Client:
    circuit: Any
    read: Readout
    has_keys: bool = False

    keys = restore = evaluation_keys = _apart

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.read.shapes

    def specification(self) -> bytes:
        return str(self.circuit.client.specs.serialize()).encode()

    def keygen(self, *, force: bool) -> None:
        with reported(NAME, "generate keys"):
            self.circuit.keygen(force=force)
        self.has_keys = True

    def encrypt(self, integers: Sequence[np.ndarray]) -> Any:
        with reported(NAME, "encrypt"):
            return self.circuit.encrypt(*samples_of(integers))

    def decrypt(self, encrypted: Any) -> list[np.ndarray]:
        with reported(NAME, "decrypt"):
            return self.read(self.circuit.decrypt(encrypted))


@attrs.define(slots=True, eq=False)
class _Circuit:
    circuit: Any
    statistics: CircuitStatistics
    client: _Client

    def run(self, encrypted: Any, evaluation_keys: Any = None) -> Any:
        with reported(NAME, "run the circuit"):
            return self.circuit.run(encrypted)

    def simulate(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        with reported(NAME, "simulate"):
            return self.client.read(self.circuit.simulate(*samples_of(integers)))

    def widths(self) -> CompiledWidths:
        return attrs.evolve(read_widths(self.circuit.mlir), lookups=None)


@attrs.frozen(slots=True)
class ConcreteNumpy:
    """The compiler of concrete-numpy 0.11: one precision for the whole circuit."""

    name: str = NAME
    priority: int = 10
    max_lookup_bits: int = 16
    max_bits: int = 16
    supports_approximate_rounding: bool = False

    def is_installed(self) -> bool:
        """Whether concrete-numpy is installed."""
        try:
            importlib.metadata.version(NAME)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def compile(self, program: Program, options: FheOptions) -> _Circuit:
        """Compile a program."""
        with reported(NAME, "be imported"), quiet_import():
            import concrete.numpy as cnp
            import concrete.onnx as connx
        dialect = _Dialect(cnp, connx)
        circuit = compile_traced(NAME, program, dialect, cnp.Compiler, options, joined=True)
        client = _Client(circuit, Readout.of(program, joined=True))
        result = _Circuit(circuit, statistics(circuit, None, {}), client)
        # The compiled library lies in a temporary folder until someone says that it may go.
        weakref.finalize(result, circuit.cleanup)
        return result

    client = pack = unpack = read_keys = _apart


@hookimpl
def cml_fhe_backend() -> ConcreteNumpy:
    """Provide concrete-numpy."""
    return ConcreteNumpy()
