"""GroupNormalization: every group of channels normalized, then every channel scaled."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.normalizing import group_normalized, per_channel


def group_normalization(x, scale, bias, *, num_groups, epsilon, stash_type):
    normalized = group_normalized(x, num_groups, epsilon, stash_type)
    return (normalized * per_channel(scale, x.ndim) + per_channel(bias, x.ndim),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0], [-1.0, 0.5], [3.0, 0.0], [1.5, -2.0]]], dtype=np.float32)
    scale, bias = np.array([[1.0, -2.0, 0.5, 2.0], [0.0, 0.5, 1.0, -1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GroupNormalization", since_versions=(21,)),
        numpy_op=group_normalization,
        examples=(
            OpExample((x, scale, bias), {"num_groups": 2}, name="two groups"),
            OpExample((x, scale, bias), {"num_groups": 1, "epsilon": 0.1}, name="one group"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
