"""SequenceLength: how many tensors a sequence has."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.sequences import as_sequence


def sequence_length(input_sequence):
    return (np.array(len(as_sequence(input_sequence)), dtype=np.int64),)


@hookimpl
def cml_op():
    x = np.array([1.0, 2.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SequenceLength", since_versions=(11,)),
        numpy_op=sequence_length,
        examples=(OpExample(((x, x, x),), {}, (np.array(3),), encrypted=()),),
    )
