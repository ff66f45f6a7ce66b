"""SequenceMap: a graph run on every tensor of a sequence, whose results make sequences."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence


def sequence_map(input_sequence, *additional_inputs, body):
    tensors = as_sequence(input_sequence)
    rows = []
    for value in (tensors, *additional_inputs):
        # What is a tensor is the same in each run.
        row = value if isinstance(value, tuple) else (value,) * len(tensors)
        if len(row) != len(tensors):
            raise AttributeValueError(
                "additional_inputs", f"a sequence of {len(row)}", f"sequences of {len(tensors)}"
            )
        rows.append(row)
    results = [body(*inputs) for inputs in zip(*rows, strict=True)]
    return tuple(tuple(result[k] for result in results) for k in range(len(body.outputs)))


@hookimpl
def cml_op():
    def info(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])

    body = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "body",
        [info("a"), info("b")],
        [info("sum")],
    )
    x, y = np.array([1.0, 2.0], dtype=np.float32), np.array([3.0], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceMap", since_versions=(17,)),
        numpy_op=sequence_map,
        examples=(
            OpExample(
                ((x, y), (y, y)), {"body": body}, ((x + y, y + y),), encrypted=(), name="sequences"
            ),
            OpExample(
                ((x, y), one), {"body": body}, ((x + 1, y + 1),), encrypted=(), name="a tensor"
            ),
        ),
    )
