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
from onnx import AttributeProto, external_data_helper, helper, numpy_helper

from cml_core.ops.schema import OpKey

__all__ = [
    "decode_attribute",
    "decode_sparse",
    "decode_tensor",
    "is_deterministic",
    "numpy_dtype",
    "schema_defaults",
    "schema_faults",
]


def decode_tensor(tensor: onnx.TensorProto, base_dir: Path | None = None) -> np.ndarray:
    """Return a tensor as a read-only array.

    External data is read into the message from a file in `base_dir`; ValueError if it lies
    elsewhere, or if there is no `base_dir`.
    """
    if external_data_helper.uses_external_data(tensor):
        _read_external(tensor, base_dir)
    array = np.asarray(numpy_helper.to_array(tensor))
    array.flags.writeable = False
    return array


def _read_external(tensor: onnx.TensorProto, base_dir: Path | None) -> None:
    location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    if base_dir is None:
        raise ValueError(
            f"its data is in the file {location!r}; give the model's path, or load that data first"
        )
    folder = base_dir.resolve()
    if not location or not (folder / location).resolve().is_relative_to(folder):
        raise ValueError(f"its data is in the file {location!r}, outside of the model's folder")
    if not (folder / location).is_file():
        raise ValueError(f"its data is in the file {location!r}, which does not exist")
    external_data_helper.load_external_data_for_tensor(tensor, str(base_dir))
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def numpy_dtype(elem_type: int) -> np.dtype[Any] | None:
    """NumPy dtype of an ONNX element type, None if undefined."""
    if elem_type == onnx.TensorProto.UNDEFINED:
        return None
    return np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))


def decode_attribute(attribute: onnx.AttributeProto, base_dir: Path | None = None) -> Any:
    """Return an attribute's value: numbers, text, arrays, or graphs as their protobuf messages.

    ValueError if it cannot be read.
    """
    kind = attribute.type
    if kind == AttributeProto.UNDEFINED:
        raise ValueError("it states no type")
    if kind == AttributeProto.TENSOR:
        return decode_tensor(attribute.t, base_dir)
    if kind == AttributeProto.TENSORS:
        return tuple(decode_tensor(tensor, base_dir) for tensor in attribute.tensors)
    if kind == AttributeProto.SPARSE_TENSOR:
        return decode_sparse(attribute.sparse_tensor, base_dir)
    if kind == AttributeProto.SPARSE_TENSORS:
        return tuple(decode_sparse(sparse, base_dir) for sparse in attribute.sparse_tensors)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if kind == AttributeProto.STRINGS:
        return tuple(item.decode("utf-8", "surrogateescape") for item in value)
    if isinstance(value, list) or hasattr(value, "extend"):
        return tuple(value)
    return value


def decode_sparse(sparse: onnx.SparseTensorProto, base_dir: Path | None = None) -> np.ndarray:
    """Return a sparse tensor as a dense, read-only array."""
    values = decode_tensor(sparse.values, base_dir)
    indices = decode_tensor(sparse.indices, base_dir)
    shape = tuple(sparse.dims)
    dense = np.zeros(shape, dtype=values.dtype)
    linear = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices
    if linear.shape != values.shape:
        raise ValueError(f"it has {values.size} values and {linear.size} indices")
    dense[np.unravel_index(linear, shape)] = values
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


def schema_faults(
    key: OpKey, attributes: Iterable[str], n_inputs: int, n_outputs: int
) -> tuple[str, ...]:
    """What of a node's attributes, inputs and outputs contradicts its operator's schema."""
    schema = _schema(key)
    if schema is None:
        return ()
    stated, known = set(attributes), schema.attributes
    required = {name for name, attribute in known.items() if attribute.required}
    faults = []
    if stated - set(known):
        faults.append(f"{key} has no attribute {', '.join(sorted(stated - set(known)))}")
    if required - stated:
        faults.append(f"{key} needs the attribute {', '.join(sorted(required - stated))}")
    for kind, count, least, most in (
        ("input", n_inputs, schema.min_input, schema.max_input),
        ("output", n_outputs, 0, schema.max_output),
    ):
        if count < least or count > most:
            limit, number = ("at least", least) if count < least else ("at most", most)
            noun = kind if number == 1 else kind + "s"
            faults.append(f"{key} takes {limit} {number} {noun}, and the node has {count}")
    return tuple(faults)


def is_deterministic(key: OpKey) -> bool:
    """Whether an operator gives the same outputs each time, so that it may be folded."""
    schema = _schema(key)
    kinds = onnx.defs.OpSchema.NodeDeterminism
    return schema is None or schema.node_determinism != kinds.NonDeterministic  # type: ignore[attr-defined]
