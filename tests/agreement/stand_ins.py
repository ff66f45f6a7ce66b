"""Expectations where neither runtime has the revision or the type that a case asks for."""

from __future__ import annotations

import attrs
import numpy as np

from tests.agreement.runtimes import of_onnxruntime
from tests.one_node import feeds_of

__all__ = ["as_of_opset"]


def as_of_opset(opset, dtype=None):
    """Let onnxruntime compute a node in an older revision that means the same.

    With a dtype, inputs of the case's own type are converted to it, and results back.
    """

    def compute(node, case):
        def to(array, old, new):
            return array.astype(new) if array is not None and array.dtype == old else array

        kind = case.dtype if dtype is None else np.dtype(dtype)
        inputs = [to(array, case.dtype, kind) for array in node.inputs]
        model = attrs.evolve(node, inputs=inputs).model(case.op_type, opset)
        results = of_onnxruntime(model, feeds_of(inputs, node.constants))
        return tuple(to(array, kind, case.dtype) for array in results)

    return compute
