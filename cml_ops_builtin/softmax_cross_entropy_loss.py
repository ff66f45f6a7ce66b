"""SoftmaxCrossEntropyLoss: how unlikely the label's classes are by the softmax of the scores."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.losses import negative_log_likelihood
from cml_ops_builtin._shared.softmaxes import log_softmax_along


def softmax_cross_entropy_loss(scores, labels, weights=None, *, reduction, ignore_index):
    if scores.ndim < 2:
        raise AttributeValueError("shape of scores", scores.shape, "(N, C) or (N, C, d1, ...)")
    (log_prob,) = log_softmax_along(scores, axis=1)
    loss = negative_log_likelihood(
        log_prob, labels, weights, reduction=reduction, ignore_index=ignore_index
    )
    return loss, log_prob


@hookimpl
def cml_op():
    scores = np.float32([[1.5, -0.5, 0.25], [9, 0, -1], [0, 0, 0]])
    labels, weights = np.array([0, 2, 1]), np.float32([0.9, 0.7, 0.8])
    stack = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("SoftmaxCrossEntropyLoss", since_versions=(12, 13)),
        numpy_op=softmax_cross_entropy_loss,
        examples=(
            OpExample((scores, labels), n_outputs=2, encrypted=(), name="loss and probabilities"),
            OpExample(
                (scores, labels, weights), {"reduction": "none"}, encrypted=(), name="weighted"
            ),
            OpExample(
                (stack, np.int32([[[0, 2], [5, 1]], [[5, 5], [2, 0]]])),
                {"ignore_index": 5, "reduction": "sum"},
                encrypted=(),
                opset=12,
                name="some do not count",
            ),
        ),
    )
