"""Measure what Concrete's optimizer asks for one table lookup: the table of `program/cost.py`.

    python benchmarks/cost_table.py

For each width that enters a table and each demand on what leaves it, a circuit of 32 lookups (of
four bits) between two products with weights of -1, 0 and 1 is compiled, and its complexity is
divided by 32. The demand is the width at which the product is decrypted plus the binary logarithm
of its noise gain (the norm of the weights), which is varied in steps of a quarter. Only steps of
more than two percent are printed: (demand from which it holds, complexity).
"""

from __future__ import annotations

import itertools
import math
from importlib import metadata

import numpy as np

from cml_core.errors import CircuitError
from cml_core.fhe.backend import FheOptions, choose_backend
from cml_core.program.instructions import Instruction, Interval, Opcode, Program

LOOKUPS, RESULTS = 32, 10
WIDTHS = range(1, 17)
RESULT_BITS = range(1, 27)
# Terms of a result: their gains are a quarter of a bit apart.
TERMS = (8, 11, 16, 23)


def program(width: int, bits: int, terms: int) -> Program:
    """Lookups of one width, and sums of some of them at a given width."""
    weight = np.zeros((LOOKUPS, RESULTS), dtype=np.int64)
    for column in range(RESULTS):
        weight[(np.arange(terms) + column) % LOOKUPS, column] = 1
    inside, result = Interval(0, 2**width - 1), Interval(0, 2**bits - 1)
    small, shape = Interval(0, 1), (1, LOOKUPS)
    table = np.arange(2**width)[np.newaxis] % 16
    given = Interval(0, int(table.max()))
    mixing = np.random.default_rng(1).integers(-1, 2, (LOOKUPS, LOOKUPS))
    settings, tables = {"offset": 0, "shift": 0}, {"tables": table}
    return Program(
        (
            Instruction(Opcode.INPUT, (), shape, small, small, {"name": "x"}),
            Instruction(Opcode.MATMUL, (0,), shape, inside, inside, {}, {"weight": mixing}),
            Instruction(Opcode.LOOKUP, (1,), shape, given, given, settings, tables),
            Instruction(Opcode.MATMUL, (2,), (1, 10), result, result, {}, {"weight": weight}),
        ),
        (3,),
    )


def main() -> None:
    """Print the table."""
    print(f"concrete-python {metadata.version('concrete-python')}, 2**-40 per lookup")
    backend = choose_backend("concrete-python")
    for width in WIDTHS:
        steps: list[tuple[float, float]] = []
        for bits, terms in itertools.product(RESULT_BITS, TERMS):
            try:
                compiled = backend.compile(program(width, bits, terms), FheOptions())
            except CircuitError:
                break
            cost = compiled.statistics.complexity / LOOKUPS
            if not steps or cost > 1.02 * steps[-1][1]:
                demand = round(bits + 0.5 * math.log2(terms), 2)
                steps.append((demand, float(f"{cost:.3g}")))
        print(f"    {width}: {tuple(steps)},", flush=True)


if __name__ == "__main__":
    main()
