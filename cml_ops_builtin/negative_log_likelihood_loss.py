"""NegativeLogLikelihoodLoss: how unlikely the target classes are by given log probabilities."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.losses import negative_log_likelihood


def negative_log_likelihood_loss(log_prob, target, weight=None, *, reduction, ignore_index):
    loss = negative_log_likelihood(
        log_prob, target, weight, reduction=reduction, ignore_index=ignore_index
    )
    return (loss,)


@hookimpl
def cml_op():
    x = np.float32([[[1, 2], [2, 2], [3, 2]], [[0, 1], [2, 2], [1, 2]]])
    target, weight = np.array([[2, 1], [0, 2]]), np.float32([0.2, 0.3, 0.1])
    return OpPlugin(
        schema=OpSchema("NegativeLogLikelihoodLoss", since_versions=(12, 13, 22)),
        numpy_op=negative_log_likelihood_loss,
        examples=(
            OpExample(
                (x, target),
                {"reduction": "none"},
                (np.float32([[-3, -2], [0, -2]]),),
                encrypted=(),
                name="each",
            ),
            OpExample((x, target), {"reduction": "sum"}, encrypted=(), name="sum"),
            OpExample((x, target, weight), encrypted=(), name="weighted mean"),
            OpExample(
                (x, np.int32([[2, -1], [-1, 2]]), weight),
                {"ignore_index": -1},
                encrypted=(),
                opset=13,
                name="some do not count",
            ),
        ),
    )
