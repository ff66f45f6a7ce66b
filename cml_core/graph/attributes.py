"""ONNX attributes and tensors as Python and NumPy values."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnx.defs
from onnx import AttributeProto, helper, numpy_helper

from cml_core.ops.schema import OpKey

__all__ = [
    "decode_attribute",
    "decode_tensor",
    "is_deterministic",
    "numpy_dtype",
    "schema_defaults",
    "unknown_attributes",
]


def decode_tensor(tensor: onnx.TensorProto, base_dir: Path | None = None) -> np.ndarray:
    """Return a tensor as a read-only array; external data is read relative to `base_dir`."""
    array: np.ndarray = numpy_helper.to_array(tensor, str(base_dir) if base_dir else "")
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def numpy_dtype(elem_type: int) -> np.dtype[Any] | None:
    """NumPy dtype of an ONNX element type, None if undefined."""
    if elem_type == onnx.TensorProto.UNDEFINED:
        return None
    return np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))


def decode_attribute(attribute: onnx.AttributeProto, base_dir: Path | None = None) -> Any:
    """Return an attribute's value: numbers, text, arrays, or graphs as their protobuf messages."""
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        return decode_tensor(attribute.t, base_dir)
    if kind == AttributeProto.TENSORS:
        return tuple(decode_tensor(tensor, base_dir) for tensor in attribute.tensors)
    if kind == AttributeProto.SPARSE_TENSOR:
        return _dense(attribute.sparse_tensor, base_dir)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if kind == AttributeProto.STRINGS:
        return tuple(item.decode("utf-8", "surrogateescape") for item in value)
    if isinstance(value, list) or hasattr(value, "extend"):
        return tuple(value)
    return value


def _dense(sparse: onnx.SparseTensorProto, base_dir: Path | None) -> np.ndarray:
    values = decode_tensor(sparse.values, base_dir)
    indices = decode_tensor(sparse.indices, base_dir)
    dense = np.zeros(tuple(sparse.dims), dtype=values.dtype)
    dense[tuple(indices.T) if indices.ndim == 2 else np.unravel_index(indices, dense.shape)] = (
        values
    )
    dense.flags.writeable = False
    return dense


@functools.cache
def _schema(key: OpKey) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(key.op_type, key.since_version, key.domain)
    except onnx.defs.SchemaError:
        return None


@functools.cache
def schema_defaults(key: OpKey) -> Mapping[str, Any]:
    """Defaults of every optional attribute of an operator revision; None where it has no default.

    Empty for operators that `onnx.defs` does not know.
    """
    schema = _schema(key)
    if schema is None:
        return MappingProxyType({})
    undefined = AttributeProto.UNDEFINED
    return MappingProxyType(
        {
            name: None
            if attribute.default_value.type == undefined
            else decode_attribute(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if not attribute.required
        }
    )


def unknown_attributes(key: OpKey, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that an operator revision does not define."""
    schema = _schema(key)
    return () if schema is None else tuple(sorted(set(names) - set(schema.attributes)))


def is_deterministic(key: OpKey) -> bool:
    """Whether an operator gives the same outputs each time, so that it may be folded."""
    schema = _schema(key)
    kinds = onnx.defs.OpSchema.NodeDeterminism
    return schema is None or schema.node_determinism != kinds.NonDeterministic  # type: ignore[attr-defined]
