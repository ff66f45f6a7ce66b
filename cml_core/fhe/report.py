"""CircuitReport: what a compiled circuit costs, as a whole and node by node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from cml_core.fhe.backend import CircuitStatistics
from cml_core.quantization.report import NodeReport, ProgramReport

__all__ = ["CircuitReport", "report_circuit"]


@attrs.frozen(slots=True)
class CircuitReport:
    """What a compiled circuit costs for one sample.

    Parameters
    ----------
    backend : str
        The compiler.
    programmable_bootstraps : int
        Bootstraps of one run: the compiler's count, or where it gives none, table lookups and
        the bits taken off by exact rounding.
    lookups : int
        Table lookups among them.
    max_bit_width : int
        Widest integer in bits.
    complexity : float
        Cost of one run, by the compiler's optimizer.
    compile_seconds : float
        How long compilation took.
    sizes : mapping of str to int
        Sizes of keys and of one sample's ciphertexts, in bytes.
    nodes : tuple of NodeReport
        The program's figures per node of the model.
    bootstraps_per_node : mapping of str to int
        The compiler's count per node; empty if it gives none.
    """

    backend: str
    programmable_bootstraps: int
    lookups: int
    max_bit_width: int
    complexity: float
    compile_seconds: float
    sizes: Mapping[str, int]
    nodes: tuple[NodeReport, ...]
    bootstraps_per_node: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {
            "backend": self.backend,
            "programmable_bootstraps": self.programmable_bootstraps,
            "complexity": self.complexity,
            "compile_seconds": self.compile_seconds,
            "sizes": dict(self.sizes),
            "bootstraps_per_node": dict(self.bootstraps_per_node),
            **ProgramReport(self.nodes).as_dict(),
        }


def report_circuit(
    backend: str, program: ProgramReport, circuit: CircuitStatistics, seconds: float
) -> CircuitReport:
    """Bring the program's figures and the compiler's together."""
    counted = circuit.programmable_bootstraps
    own = sum(node.total_lookups + node.rounded_bits for node in program.nodes)
    return CircuitReport(
        backend=backend,
        programmable_bootstraps=own if counted is None else counted,
        lookups=program.lookups,
        max_bit_width=program.max_bit_width,
        complexity=circuit.complexity,
        compile_seconds=seconds,
        sizes={
            "secret_keys": circuit.secret_keys,
            "bootstrap_keys": circuit.bootstrap_keys,
            "keyswitch_keys": circuit.keyswitch_keys,
            "inputs": circuit.inputs,
            "outputs": circuit.outputs,
        },
        nodes=program.nodes,
        bootstraps_per_node=dict(circuit.bootstraps_per_node),
    )
