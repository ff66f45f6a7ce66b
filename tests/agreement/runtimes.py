"""What others make of a model: onnxruntime, and the reference evaluator of the onnx package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

import numpy as np
import onnx
import onnx.reference
import pytest

__all__ = ["CannotError", "of_onnxruntime", "of_reference"]

onnxruntime = pytest.importorskip("onnxruntime")

#: How onnxruntime says that it has no kernel for an operator's revision and types, or for the
#: attributes of a node.
_NO_KERNEL = re.compile(
    "Could not find an implementation|Type Error: Type|ValidateOpsetForDomain", re.IGNORECASE
)
_NOT_SO = re.compile(
    "NOT_IMPLEMENTED|not implemented|not supported|No corresponding Numpy type", re.IGNORECASE
)


class CannotError(Exception):
    """A runtime has no implementation of a node; `always` if not of any with these types."""

    def __init__(self, reason: str, *, always: bool = False) -> None:
        super().__init__(reason)
        self.always = always


def _options():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # What is asked is what the node's own kernel does.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


_OPTIONS = _options()


def _of_type(array, name):
    """Give an output the type of its name; onnxruntime hands out float8 as bytes."""
    if not name.startswith("tensor(float8"):
        return array
    number = onnx.TensorProto.DataType.Value(name[7:-1].upper())
    return array.view(onnx.helper.tensor_dtype_to_np_dtype(number))


def of_onnxruntime(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray | None]:
    """Run a model with onnxruntime.

    Raises
    ------
    CannotError
        It has no kernel; any other error is what onnxruntime thinks of the node.
    """
    if any(array.dtype.isbuiltin == 2 for array in feeds.values()):
        raise CannotError("onnxruntime takes no NumPy arrays of this element type", always=True)
    # It takes a model whose outputs have no type, but not one of an undefined type.
    untyped = onnx.ModelProto()
    untyped.CopyFrom(model)
    for output in untyped.graph.output:
        output.ClearField("type")
    try:
        session = onnxruntime.InferenceSession(
            untyped.SerializeToString(), _OPTIONS, providers=["CPUExecutionProvider"]
        )
        results = session.run(None, dict(feeds))
        types = [output.type for output in session.get_outputs()]
        return [_of_type(*one) for one in zip(results, types, strict=True)]
    except Exception as error:
        always = bool(_NO_KERNEL.search(str(error)))
        if always or _NOT_SO.search(str(error)):
            raise CannotError(f"onnxruntime: {error}", always=always) from error
        raise


def of_reference(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray | None]:
    """Run a model with the reference evaluator of the onnx package.

    Raises
    ------
    CannotError
        It cannot, for whatever reason: it covers less than it declares.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = onnx.reference.ReferenceEvaluator(model).run(None, dict(feeds))
    except Exception as error:
        raise CannotError(f"reference: {type(error).__name__}: {error}") from error
    # Some strings come back as NumPy's own.
    return [np.asarray(r, dtype=object) if np.asarray(r).dtype.kind == "U" else r for r in results]
