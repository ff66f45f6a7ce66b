"""What the circuits of both Concrete compilers have in common."""

from __future__ import annotations

import atexit
import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.errors import CircuitError
from cml_core.fhe.backend import CircuitStatistics, FheOptions
from cml_core.fhe.tracing import ConcreteDialect, TracedProgram
from cml_core.program.instructions import Program

__all__ = ["Readout", "compile_traced", "quiet_import", "reported", "samples_of"]


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import a Concrete package without its own deprecation warnings.

    What it does when Python exits is called off. It ends a runtime for several machines, which is
    never begun here; but once a circuit has run, that ends the process with status 0, whatever
    the program asked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    end = getattr(sys.modules.get("concrete.compiler"), "_terminate_df_parallelization", None)
    if end is not None:
        atexit.unregister(end)


@contextlib.contextmanager
def reported(backend: str, action: str) -> Iterator[None]:
    """Turn whatever a compiler raises into a CircuitError with its first meaningful line."""
    try:
        yield
    except CircuitError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip(" ^")]
        reason = (lines or [type(error).__name__])[-1 if len(lines) > 3 else 0].rstrip(".")
        hint = ""
        if "NoParametersFound" in str(error) or "parameters" in str(error):
            reason = "no cryptographic parameters exist for integers this wide at this precision"
            hint = "Lower n_bits or rounding_bits, or allow a larger failure probability (p_error)."
        raise CircuitError(backend, action, reason, hint) from error


def compile_traced(
    backend: str,
    program: Program,
    dialect: ConcreteDialect,
    compiler: Callable[..., Any],
    options: FheOptions,
    *,
    joined: bool = False,
    approximate: bool = False,
    **settings: Any,
) -> Any:
    """Trace a program and compile it with its own intervals in place of measured ones."""
    traced = TracedProgram(program, dialect, joined, approximate)
    settings |= {**options.failure, "dump_artifacts_on_unexpected_failures": False}
    if options.key_cache is not None:
        settings |= {
            "enable_unsafe_features": True,
            "use_insecure_key_cache": True,
            "insecure_key_cache_location": str(options.key_cache),
        }
    with reported(backend, "compile the circuit"), quiet_import():
        work = compiler(traced.function(), traced.parameters)
        graph = work.trace([traced.sample()], **settings)
        traced.impose_bounds(graph)
        return work.compile(**settings)


def samples_of(integers: Sequence[np.ndarray]) -> list[Any]:
    """Inputs as a circuit takes them: int64 arrays, plain integers for 0-d tensors."""
    # Compilers take memory as it lies, whatever the strides.
    arrays = [np.asarray(array, dtype=np.int64, order="C") for array in integers]
    return [int(array) if array.ndim == 0 else array for array in arrays]


@attrs.frozen(slots=True)
class Readout:
    """What becomes of a circuit's results: int64 arrays of the program's output shapes.

    Parameters
    ----------
    shapes : tuple of tuple of int
        Shapes of the outputs.
    lost_bits : tuple of int
        Low bits of each output that the program rounds away.
    approximate : bool
        Whether the circuit gives outputs without these bits, or whole.
    joined : bool
        Whether the circuit gives all outputs in one vector.
    """

    shapes: tuple[tuple[int, ...], ...]
    lost_bits: tuple[int, ...]
    approximate: bool = False
    joined: bool = False

    @classmethod
    def of(cls, program: Program, **form: bool) -> Readout:
        """Read shapes and roundings from a program."""
        outputs = [program.instructions[position] for position in program.outputs]
        return cls(tuple(o.shape for o in outputs), tuple(o.lost_bits for o in outputs), **form)

    def __call__(self, results: Any) -> list[np.ndarray]:
        """Give results their shapes, and finish their rounding."""
        if self.joined:
            cuts = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
            results = np.split(np.asarray(results, dtype=np.int64).reshape(-1), cuts)
        elif len(self.shapes) == 1:
            results = (results,)
        return [
            self._rounded(np.asarray(result, dtype=np.int64).reshape(shape), lost)
            for result, shape, lost in zip(results, self.shapes, self.lost_bits, strict=True)
        ]

    def _rounded(self, array: np.ndarray, lost: int) -> np.ndarray:
        if not lost:
            return array
        if self.approximate:
            return np.left_shift(array, lost)
        # To the nearest multiple, halves up, as the instruction rounds.
        return np.left_shift(np.right_shift(array + (1 << (lost - 1)), lost), lost)


@attrs.frozen(slots=True)
class _Sizes:
    """Only to read a circuit's figures with a default."""

    circuit: Any

    def of(self, name: str) -> int:
        return int(getattr(self.circuit, name, 0) or 0)


def statistics(circuit: Any, bootstraps: int | None, per_node: dict[str, int]) -> CircuitStatistics:
    """Read a circuit's figures."""
    sizes = _Sizes(circuit)
    return CircuitStatistics(
        complexity=float(circuit.complexity or 0.0),
        programmable_bootstraps=bootstraps,
        bootstraps_per_node=per_node,
        secret_keys=sizes.of("size_of_secret_keys"),
        bootstrap_keys=sizes.of("size_of_bootstrap_keys"),
        keyswitch_keys=sizes.of("size_of_keyswitch_keys"),
        inputs=sizes.of("size_of_inputs"),
        outputs=sizes.of("size_of_outputs"),
    )
