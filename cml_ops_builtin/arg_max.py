"""ArgMax: where along an axis the largest element is. Computed by the client after decryption."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def arg_max(x, *, axis, keepdims, select_last_index=0):
    if select_last_index:
        place = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis, keepdims=bool(keepdims))
    else:
        place = np.argmax(x, axis=axis, keepdims=bool(keepdims))
    return (np.asarray(place, dtype=np.int64),)


@hookimpl
def cml_op():
    x = np.array([[1.0, 3.0, 3.0], [2.0, -1.0, -1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ArgMax", since_versions=(1, 11, 12, 13)),
        numpy_op=arg_max,
        tail=True,
        examples=(
            OpExample((x,), {"axis": 1, "keepdims": 0}, name="one for each row"),
            OpExample((x,), {"axis": -1, "select_last_index": 1}, name="the last of equals"),
            OpExample((x,), name="first axis"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
