"""Whether tensors have the types that ONNX allows a node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from cml_core.errors import NodeError
from cml_core.graph.bound import BoundNode, evaluate
from cml_core.plugins.onnx_schemas import schema_of

__all__ = ["check_types", "evaluate_checked"]

_VARIADIC = onnx.defs.OpSchema.FormalParameterOption.Variadic


def evaluate_checked(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compute a node as `evaluate` does, once it is sure that its inputs have types it takes."""
    check_types(bound, tensors)
    return evaluate(bound, tensors)


def check_types(bound: BoundNode, tensors: tuple[Any, ...]) -> None:
    """Refuse tensors of different types where ONNX wants one, which a result has too.

    NumPy would give the result a type that the model does not declare. An operator may well take
    types that ONNX does not list for it.

    Raises
    ------
    NodeError
        It names the inputs.
    """
    schema = schema_of(bound.key.domain, bound.key.op_type, bound.key.since_version)
    if schema is None or not schema.inputs:
        return
    given = {output.type_str for output in schema.outputs}
    seen: dict[str, tuple[str, np.dtype[Any]]] = {}
    for place, tensor in enumerate(tensors[: len(bound.node.stated_inputs)]):
        formal = schema.inputs[min(place, len(schema.inputs) - 1)]
        several = formal.option == _VARIADIC and not formal.is_homogeneous
        if several or formal.type_str not in given or not isinstance(tensor, np.ndarray):
            continue
        other, dtype = seen.setdefault(formal.type_str, (formal.name, tensor.dtype))
        if dtype != tensor.dtype:
            reason = (
                f"its inputs {other} and {formal.name} must have one type, "
                f"and are {dtype} and {tensor.dtype}"
            )
            raise NodeError(bound.name, bound.key.op_type, reason)
