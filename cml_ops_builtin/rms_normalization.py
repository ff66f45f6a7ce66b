"""RMSNormalization: the axes from `axis` on divided by their root mean square, then scaled."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.normalizing import stashed
from cml_ops_builtin._shared.reductions import means


def rms_normalization(x, scale, *, axis, epsilon, stash_type):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    wide = stashed(x, stash_type)
    axes = tuple(range(axis % x.ndim, x.ndim))
    square = means(np.square(wide), axes, keepdims=True)
    normalized = wide / np.sqrt(square + np.asarray(epsilon, dtype=wide.dtype))
    return ((normalized.astype(x.dtype, copy=False) * scale).astype(scale.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, 6.0], [-1.0, 0.5, 3.0]]], dtype=np.float32)
    scale = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("RMSNormalization", since_versions=(23,)),
        numpy_op=rms_normalization,
        examples=(
            OpExample((x, scale), name="last axis"),
            OpExample((x, scale), {"axis": 1, "epsilon": 0.1}, name="two axes"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
