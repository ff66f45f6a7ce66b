"""TensorScatter: new elements written into a cache, one after another from an index on.

Under encryption the cache and what is written move; the indices are clear.
"""

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
from cml_ops_builtin._shared.positions import one_axis


def tensor_scatter(past_cache, update, write_indices=None, *, mode, axis):
    place = one_axis(axis, past_cache.ndim)
    if place == 0:
        raise AttributeValueError("axis", axis, "an axis after the batch axis")
    if mode not in ("linear", "circular"):
        raise AttributeValueError("mode", mode, "linear or circular")
    batch, room = past_cache.shape[0], past_cache.shape[place]
    count = update.shape[place] if update.ndim == past_cache.ndim else 0
    expected = (*past_cache.shape[:place], count, *past_cache.shape[place + 1 :])
    if update.shape != expected or count > room:
        reason = f"that of the cache, {past_cache.shape}, with up to {room} along axis {place}"
        raise AttributeValueError("shape of update", update.shape, reason)
    first = np.zeros(batch, dtype=np.int64) if write_indices is None else write_indices
    if first.shape != (batch,):
        raise AttributeValueError("shape of write_indices", first.shape, f"({batch},)")
    along = first[:, np.newaxis] + np.arange(count)
    if mode == "circular":
        along = along % max(room, 1)
    elif along.size and (along.min() < 0 or along.max() >= room):
        wrong = (first < 0) | (first + count > room)
        raise AttributeValueError("write_indices", int(first[wrong][0]), f"0 to {room - count}")
    present = past_cache.copy()
    # With the sequence right after the batch, one index array for each of them says where.
    np.moveaxis(present, place, 1)[np.arange(batch)[:, np.newaxis], along] = np.moveaxis(
        update, place, 1
    )
    return (present,)


@hookimpl
def cml_op():
    cache = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    update = -np.arange(1, 9, dtype=np.float32).reshape(2, 2, 2)
    return OpPlugin(
        schema=OpSchema("TensorScatter", since_versions=(24,), kind=OpKind.MOVEMENT),
        numpy_op=tensor_scatter,
        quantized_op=MovementQuantizedOp(tensor_scatter, moved=(0, 1)),
        examples=(
            OpExample(
                (cache, update, np.array([1, 0])),
                encrypted=(0, 1),
                tolerance=0.04,
                lookups=0,
                name="both encrypted",
            ),
            OpExample(
                (cache, update, np.array([2, 1])),
                {"mode": "circular"},
                encrypted=(1,),
                tolerance=0.04,
                name="circular",
            ),
            OpExample(
                (cache, update[:, [0, 1, 1], :1]),
                {"axis": 2},
                tolerance=0.04,
                name="from the start",
            ),
        ),
        restrictions="write_indices must be clear",
    )
