"""Whether tensors have the types that ONNX allows a node."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
from onnx import helper

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
    """Refuse tensors of a type that the node's operator does not take, or of types that differ.

    What ONNX does not define, sequences and optionals are left to the operator.

    Raises
    ------
    NodeError
        It names the input.
    """
    schema = schema_of(bound.key.domain, bound.key.op_type, bound.key.since_version)
    if schema is None:
        return
    seen: dict[str, tuple[str, str]] = {}
    for place, tensor in enumerate(tensors[: len(bound.node.stated_inputs)]):
        if not isinstance(tensor, np.ndarray) or not schema.inputs:
            continue
        formal = schema.inputs[min(place, len(schema.inputs) - 1)]
        found, name = _type(tensor.dtype), formal.name
        several = formal.option == _VARIADIC and not formal.is_homogeneous
        if several or _takes_maps(formal):
            continue
        if found not in formal.types:
            takes = ", ".join(sorted(formal.types))
            reason = f"its input {name} is {found}, and it takes {takes}"
            raise NodeError(bound.name, bound.key.op_type, reason)
        other, first = seen.setdefault(formal.type_str, (name, found))
        if first != found:
            reason = f"its inputs {other} and {name} must have one type: {first} and {found}"
            raise NodeError(bound.name, bound.key.op_type, reason)


def _takes_maps(formal: Any) -> bool:
    """Whether an input may be a map: of these, ONNX has many types, and cml an array of objects."""
    return any("map(" in kind for kind in formal.types)


@functools.lru_cache(maxsize=64)
def _type(dtype: np.dtype[Any]) -> str:
    """A tensor's type as schemas write it, such as `tensor(float)`."""
    if dtype.kind == "O":
        return "tensor(string)"
    kind = onnx.TensorProto.DataType.Name(helper.np_dtype_to_tensor_dtype(dtype))
    return f"tensor({kind.lower()})"
