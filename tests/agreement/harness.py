"""Agreement of operators with onnxruntime, on random nodes, for every dtype and schema revision.

How to add a family
-------------------
Write `tests/agreement/test_<family>.py` with a mapping of operators and one test:

    def leaky_relu(draw, dtype, revision):
        x = array(draw, dtype, shape(draw))
        return Node([x], optional(draw, alpha=draw(st.floats(-1, 1, width=32))))

    OPERATORS = {"LeakyRelu": Operator(leaky_relu)}

    @agreement(OPERATORS)
    def test_activations(case):
        case.check()

- A strategy is a function `(draw, dtype, revision) -> Node` of *valid* nodes; `values.py` has
  shapes, axes and arrays. `revision` is the schema revision in force (not the opset): draw
  what that revision has. There is a case for every revision that opset 7 or later reaches.
- `Operator(dtypes=…)` lists element types to try, by default float32 and float64; those that the
  schema refuses in a revision are left out. `typed` says which input has that type, by default
  the first.
- The expectation is onnxruntime's. If it has no kernel for the revision and the types, it is that
  of `onnx.reference`; if that fails too, it is `by_hand(node, case)` if the operator has one, and
  else the example is not compared. A case of which nothing was compared is skipped, with the
  reason.
- Where onnxruntime or the reference is known to be wrong, list a `Fault` with the reason: it is
  then passed over for the nodes that `when(node, case)` picks, or if its error matches `says`.
  Any other error of onnxruntime on a node that it has a kernel for fails the test.
- Tolerances are relative and absolute, by dtype (`TOLERANCES`). `Operator(tolerance=…, why=…)`
  overrides it by a number or by a mapping of dtype names; 0 asks for the same bits (signed zeros
  too), as operators that only move elements have them.
- Every model runs twice, which must leave inputs and earlier results alone. An operator that
  prepares constants also runs with all its inputs but the first as constants.
- `CML_AGREEMENT_EXAMPLES=500 pytest tests/agreement/test_<family>.py` looks for faults at random;
  without it, a few examples per case are the same in every run.
"""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from onnx import helper

import cml_core as cml
from tests.agreement.comparing import compare
from tests.agreement.values import FLOATS
from tests.one_node import one_node

__all__ = ["Case", "Fault", "Node", "Operator", "agreement", "cases_of", "reachable", "taken"]

#: Opset 7 is the first whose operators broadcast as today's do; tests/ops has those before it.
OLDEST_OPSET = 7
_STATED = os.environ.get("CML_AGREEMENT_EXAMPLES")
#: Examples of a case; an operator's first two element types get the most, unless told otherwise.
MANY, FEW = (int(_STATED),) * 2 if _STATED else (12, 5)
TOLERANCES = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-10, "bfloat16": 2e-2}


@attrs.frozen
class Node:
    """A node that a strategy drew: arrays (None where one is left out), attributes and outputs.

    Those inputs whose positions are in `constants` are constants of the model; those outputs
    whose positions are in `left_out` have no name.
    """

    inputs: list[np.ndarray | None]
    attributes: dict[str, Any] = attrs.field(factory=dict)
    n_outputs: int = 1
    constants: tuple[int, ...] = attrs.field(default=(), converter=tuple)
    left_out: tuple[int, ...] = attrs.field(default=(), converter=tuple)

    def model(self, op_type: str, opset: int) -> onnx.ModelProto:
        model = one_node(
            op_type,
            self.inputs,
            opset=opset,
            n_outputs=self.n_outputs,
            constants=self.constants,
            **self.attributes,
        )
        for k in self.left_out:
            model.graph.node[0].output[k] = ""
        kept = [o for k, o in enumerate(model.graph.output) if k not in self.left_out]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        return model


@attrs.frozen
class Fault:
    """Where a runtime (`onnxruntime` or `reference`) does not do what ONNX says, and why."""

    runtime: str
    why: str
    when: Callable[[Node, Case], bool] | None = attrs.field(default=None, kw_only=True)
    says: str | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Operator:
    """How to draw nodes of an operator, and how to compare what comes out."""

    draw: Callable[..., Node]
    dtypes: tuple[np.dtype, ...] = FLOATS
    typed: int = attrs.field(default=0, kw_only=True)
    tolerance: float | Mapping[str, float] = attrs.field(factory=dict, kw_only=True)
    why: str = attrs.field(default="", kw_only=True)
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    by_hand: Callable[..., tuple[np.ndarray, ...]] | None = attrs.field(default=None, kw_only=True)

    def tolerance_of(self, dtype: np.dtype) -> float:
        stated = self.tolerance
        if not isinstance(stated, Mapping):
            return stated
        return {**TOLERANCES, **stated}.get(dtype.name, 0.0)


@attrs.frozen(repr=False)
class Case:
    """An operator in one revision, for one element type."""

    op_type: str
    revision: int
    opset: int
    dtype: np.dtype
    operator: Operator

    def __repr__(self) -> str:
        return f"{self.op_type}-{self.revision}-{self.dtype.name}"

    def check(self) -> None:
        """Compare some random nodes; skip the case if no other runtime computed any of them."""
        uncompared: dict[str, int] = {}
        compared = 0

        @settings(
            max_examples=MANY if self.dtype in self.operator.dtypes[:2] else FEW,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(_nodes(self))
        def agrees(node):
            nonlocal compared
            reason = compare(self, node)
            if reason is None:
                compared += 1
            else:
                uncompared[reason] = uncompared.get(reason, 0) + 1

        if _STATED is None:
            agrees = seed(zlib.crc32(str(self).encode()))(agrees)
        agrees()
        if not compared:
            pytest.skip(f"{self}: {next(iter(uncompared), 'nothing was drawn')}"[:300])


def agreement(operators: Mapping[str, Operator]) -> pytest.MarkDecorator:
    """Run a test for every case of a family's operators."""
    cases = [
        case for op_type, operator in operators.items() for case in cases_of(op_type, operator)
    ]
    return pytest.mark.parametrize("case", cases, ids=str)


def cases_of(op_type: str, operator: Operator) -> list[Case]:
    """One case for each reachable revision and each element type that it takes."""
    return [
        Case(op_type, revision, opset, dtype, operator)
        for revision, opset in reachable(op_type).items()
        for dtype in operator.dtypes
        if dtype in taken(op_type, opset, operator.typed)
    ]


@functools.cache
def reachable(op_type: str) -> Mapping[int, int]:
    """Each revision in force at opset 7 or later, with the first such opset."""
    found: dict[int, int] = {}
    for opset in range(OLDEST_OPSET, onnx.defs.onnx_opset_version() + 1):
        revision = cml.default_registry().revision("", op_type, opset)
        if revision is not None:
            found.setdefault(revision, opset)
    return found


@functools.cache
def taken(op_type: str, opset: int, position: int) -> frozenset[np.dtype]:
    """Element types of an input, as the schema has them."""
    inputs = onnx.defs.get_schema(op_type, opset, "").inputs
    return frozenset(
        helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(name[7:-1].upper()))
        for name in inputs[position].types
        if name.startswith("tensor(")
    )


@st.composite
def _nodes(draw, case):
    return case.operator.draw(draw, case.dtype, case.revision)
