"""Nodes of ai.onnx.ml for the harness: their domain, its revisions and its types."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import attrs
import numpy as np
import onnx
import pytest
from onnx import helper

import cml_core as cml
from tests.agreement.harness import Case, Node, Operator
from tests.agreement.runtimes import of_onnxruntime
from tests.contrib.nodes import ML, model_of
from tests.one_node import feeds_of

__all__ = [
    "DOMAIN",
    "NUMBERS",
    "MLNode",
    "classical",
    "classical_cases",
    "in_float32",
    "revisions",
]

DOMAIN = ML
NUMBERS = tuple(np.dtype(t) for t in (np.float32, np.float64, np.int32, np.int64))
NEWEST = 5


class MLNode(Node):
    """A node of ai.onnx.ml."""

    def model(self, op_type: str, opset: int) -> onnx.ModelProto:
        return model_of(
            op_type,
            self.inputs,
            version=opset,
            opset=18,
            n_outputs=self.n_outputs,
            constants=self.constants,
            **self.attributes,
        )


@functools.cache
def revisions(op_type: str) -> Mapping[int, int]:
    """Each revision, with the first opset of the domain in which it is in force."""
    found: dict[int, int] = {}
    for opset in range(1, NEWEST + 1):
        revision = cml.default_registry().revision(DOMAIN, op_type, opset)
        if revision is not None:
            found.setdefault(revision, opset)
    return found


def classical_cases(operators: Mapping[str, Operator]) -> list[Case]:
    """One case for each revision and each element type that it takes."""
    return [
        Case(op_type, revision, opset, dtype, operator)
        for op_type, operator in operators.items()
        for revision, opset in revisions(op_type).items()
        for dtype in operator.dtypes
        if dtype in _taken(op_type, opset)
    ]


@functools.cache
def _taken(op_type: str, opset: int) -> frozenset[np.dtype]:
    names = onnx.defs.get_schema(op_type, opset, DOMAIN).inputs[0].types
    tensors = [name[7:-1].upper() for name in names if name.startswith("tensor(")]
    numbers = [onnx.TensorProto.DataType.Value(name) for name in tensors]
    return frozenset(np.dtype(helper.tensor_dtype_to_np_dtype(number)) for number in numbers)


def classical(operators: Mapping[str, Operator]) -> pytest.MarkDecorator:
    """Run a test for every case of a family's operators."""
    return pytest.mark.parametrize("case", classical_cases(operators), ids=str)


def in_float32(node: Node, case: Case) -> list[np.ndarray]:
    """What onnxruntime makes of the same numbers in float32; the result is that in any case."""
    inputs = [array.astype(np.float32) for array in node.inputs]
    model = attrs.evolve(node, inputs=inputs).model(case.op_type, case.opset)
    return of_onnxruntime(model, feeds_of(inputs))
