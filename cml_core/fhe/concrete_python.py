"""concrete-python: Concrete 2.x, for Python 3.9 to 3.12."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.fhe.backend import CircuitStatistics, CompiledWidths, FheOptions
from cml_core.fhe.concrete_circuit import (
    compile_traced,
    quiet_import,
    reported,
    samples_of,
    shaped,
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


@attrs.define(slots=True, eq=False)
class _Circuit:
    program: Program
    circuit: Any
    statistics: CircuitStatistics
    approximate: bool
    _simulates: bool = False

    @property
    def has_keys(self) -> bool:
        return self.circuit.keys is not None and bool(self.circuit.keys.are_generated)

    def keygen(self, *, force: bool) -> None:
        with reported(NAME, "generate keys"):
            self.circuit.keygen(force=force)

    def encrypt(self, integers: Sequence[np.ndarray]) -> Any:
        with reported(NAME, "encrypt"):
            encrypted = self.circuit.encrypt(*samples_of(self.program, integers))
        return encrypted if isinstance(encrypted, tuple) else (encrypted,)

    def run(self, encrypted: Any) -> Any:
        with reported(NAME, "run the circuit"):
            result = self.circuit.run(*encrypted)
        return result if isinstance(result, tuple) else (result,)

    def decrypt(self, encrypted: Any) -> list[np.ndarray]:
        with reported(NAME, "decrypt"):
            return self._shaped(self.circuit.decrypt(*encrypted))

    def simulate(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        with reported(NAME, "simulate"):
            if not self._simulates:
                self.circuit.enable_fhe_simulation()
                self._simulates = True
            return self._shaped(self.circuit.simulate(*samples_of(self.program, integers)))

    def widths(self) -> CompiledWidths:
        return read_widths(self.circuit.mlir)

    def _shaped(self, results: Any) -> list[np.ndarray]:
        return shaped(self.program, results, approximate=self.approximate)


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
        with reported(NAME, "be imported"), quiet_import():
            from concrete import fhe
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
        return _Circuit(program, circuit, statistics(circuit, count, per_node), approximate)


@hookimpl
def cml_fhe_backend() -> ConcretePython:
    """Provide concrete-python."""
    return ConcretePython()
