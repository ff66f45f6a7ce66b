"""LayerNormalization: the axes from `axis` on to zero mean and unit variance, then scaled."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.normalizing import standardized, stashed


def layer_normalization(x, scale, bias=None, *, axis, epsilon, stash_type):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    axes = tuple(range(axis % x.ndim, x.ndim))
    normalized, mean, inverse = standardized(stashed(x, stash_type), axes, epsilon)
    y = normalized.astype(x.dtype, copy=False) * scale
    if bias is not None:
        y = y + bias
    return y, mean, inverse


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, 6.0], [-1.0, 0.5, 3.0]]], dtype=np.float32)
    scale, bias = np.array([[1.0, -2.0, 0.5], [0.0, 0.5, 1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LayerNormalization", since_versions=(17,)),
        numpy_op=layer_normalization,
        examples=(
            OpExample((x, scale, bias), name="last axis"),
            OpExample(
                (x, np.stack([scale, bias])),
                {"axis": 1, "epsilon": 0.1},
                n_outputs=3,
                name="two axes, without bias, with mean and deviation",
            ),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
