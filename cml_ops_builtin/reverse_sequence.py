"""ReverseSequence: the first elements of each sequence of a batch in reverse order."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def reverse_sequence(x, sequence_lens, *, batch_axis, time_axis):
    if {batch_axis, time_axis} != {0, 1} or x.ndim < 2:
        axes = (batch_axis, time_axis)
        raise AttributeValueError("batch_axis and time_axis", axes, "0 and 1, or 1 and 0")
    batch, time = x.shape[batch_axis], x.shape[time_axis]
    if sequence_lens.shape != (batch,):
        raise AttributeValueError("shape of sequence_lens", sequence_lens.shape, str((batch,)))
    outside = (sequence_lens < 0) | (sequence_lens > time)
    if outside.any():
        first = int(sequence_lens[outside][0])
        raise AttributeValueError("sequence_lens", first, f"lengths from 0 to {time}")
    place, length = np.arange(time), sequence_lens[:, np.newaxis]
    source = np.where(place < length, length - 1 - place, place)
    each = np.arange(batch)[:, np.newaxis]
    return (x[each, source] if batch_axis == 0 else x[source.T, each.T],)


@hookimpl
def cml_op():
    x = np.arange(9, dtype=np.float32).reshape(3, 3)
    return OpPlugin(
        schema=OpSchema("ReverseSequence", since_versions=(10, 28), kind=OpKind.MOVEMENT),
        numpy_op=reverse_sequence,
        quantized_op=MovementQuantizedOp(reverse_sequence),
        examples=(
            OpExample((x, np.array([3, 1, 2])), opset=10, name="time first"),
            OpExample(
                (x, np.array([2, 3, 1])),
                {"time_axis": 1, "batch_axis": 0},
                opset=10,
                name="batch first",
            ),
        ),
        restrictions="sequence_lens must be clear",
    )
