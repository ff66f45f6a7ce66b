"""PairwiseProbabilities: what machines between pairs of classes say of each class.

An operator of cml's own, with which the body of SVMClassifier writes its probabilities. In float
only: the client computes it after decryption.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.pairwise import probabilities


def pairwise_probabilities(decisions, *, prob_a, prob_b):
    return (probabilities(decisions, prob_a, prob_b),)


@hookimpl
def cml_op():
    decisions = np.array([[1.0, 0.5, -0.25], [-2.0, -1.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("PairwiseProbabilities", since_versions=(1,), domain="cml"),
        numpy_op=pairwise_probabilities,
        tail=True,
        examples=(
            OpExample(
                (decisions[:, :1],),
                {"prob_a": [-2.0], "prob_b": [0.0]},
                (np.float32([[0.8807969, 0.1192032], [0.0179817, 0.9820184]]),),
                encrypted=(),
                name="two classes",
            ),
            OpExample(
                (decisions,),
                {"prob_a": [-1.0, -1.5, -1.0], "prob_b": [0.0, 0.25, 0.0]},
                (
                    np.float32(
                        [[0.5063124, 0.2017582, 0.2919294], [0.0683805, 0.7534962, 0.1781232]]
                    ),
                ),
                encrypted=(),
                name="three classes",
            ),
        ),
        restrictions="in float only: after decryption",
    )
