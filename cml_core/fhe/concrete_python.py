"""concrete-python: Concrete 2.x, for Python 3.9 to 3.12."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.fhe.backend import CircuitStatistics, FheOptions
from cml_core.fhe.concrete_circuit import (
    compile_traced,
    quiet_import,
    reported,
    samples_of,
    shaped,
    statistics,
)
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


@attrs.define(slots=True, eq=False)
class _Circuit:
    program: Program
    circuit: Any
    statistics: CircuitStatistics
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
            return shaped(self.program, self.circuit.decrypt(*encrypted))

    def simulate(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        with reported(NAME, "simulate"):
            if not self._simulates:
                self.circuit.enable_fhe_simulation()
                self._simulates = True
            return shaped(self.program, self.circuit.simulate(*samples_of(self.program, integers)))


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
        dialect = _Dialect(fhe, options.rounding != "exact")
        circuit = compile_traced(
            NAME,
            program,
            dialect,
            fhe.Compiler,
            options,
            enable_tlu_fusing=False,
            parameter_selection_strategy=fhe.ParameterSelectionStrategy.MULTI,
        )
        per_node = {
            tag: int(count)
            for tag, count in circuit.programmable_bootstrap_count_per_tag.items()
            if tag
        }
        count = int(circuit.programmable_bootstrap_count)
        return _Circuit(program, circuit, statistics(circuit, count, per_node))


@hookimpl
def cml_fhe_backend() -> ConcretePython:
    """Provide concrete-python."""
    return ConcretePython()
