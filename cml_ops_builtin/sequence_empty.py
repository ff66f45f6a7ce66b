"""SequenceEmpty: a sequence without tensors."""

from __future__ import annotations

from onnx import TensorProto

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def sequence_empty(*, dtype=None):
    return ((),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("SequenceEmpty", since_versions=(11,)),
        numpy_op=sequence_empty,
        examples=(
            OpExample((), {}, ((),), encrypted=()),
            OpExample((), {"dtype": TensorProto.INT64}, ((),), encrypted=(), name="of integers"),
        ),
    )
