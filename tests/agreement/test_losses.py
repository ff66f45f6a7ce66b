"""Losses, and dropout as it is without training."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import finite
from tests.agreement.values import BFLOAT16, FLOATS, HALF, array, optional, shape


def classified(draw, dtype):
    """Draw scores (N, C, …), classes of them, and weights of the classes."""
    size = shape(draw, 2, 4, min_size=1)
    kind = draw(st.sampled_from([np.int32, np.int64]))
    classes = finite(draw, kind, (size[0], *size[2:]), low=0, high=size[1] - 1)
    weight = finite(draw, dtype, size[1:2], low=0.25, high=2)
    attributes = {"reduction": draw(st.sampled_from(["none", "mean", "sum"]))}
    if draw(st.booleans()):
        attributes["ignore_index"] = draw(st.sampled_from([-1, 0, size[1] - 1]))
    inputs = [finite(draw, dtype, size), classes, *([weight] if draw(st.booleans()) else [])]
    return inputs, optional(draw, **attributes)


def negative_log_likelihood_loss(draw, dtype, revision):
    return Node(*classified(draw, dtype))


def softmax_cross_entropy_loss(draw, dtype, revision):
    return Node(*classified(draw, dtype), n_outputs=draw(st.integers(1, 2)))


def dropout(draw, dtype, revision):
    x = array(draw, dtype, shape(draw))
    ratio = draw(st.sampled_from([0.25, 0.5]))
    n_outputs = draw(st.integers(1, 2)) if revision >= 10 else 1
    if revision < 12:
        return Node([x], optional(draw, ratio=ratio), n_outputs)
    rest = [np.float32(ratio), np.array(False)][: draw(st.integers(0, 2))]
    return Node([x, *rest], {}, n_outputs)


OPERATORS = {
    "Dropout": Operator(
        dropout,
        FLOATS + HALF + BFLOAT16,
        tolerance=0,
        faults=[
            Fault(
                "onnxruntime",
                "has a mask of what is dropped",
                when=lambda node, case: case.revision == 10 and node.n_outputs == 2,
            )
        ],
    ),
    "NegativeLogLikelihoodLoss": Operator(negative_log_likelihood_loss, FLOATS + HALF),
    "SoftmaxCrossEntropyLoss": Operator(softmax_cross_entropy_loss, FLOATS + HALF),
}


@agreement(OPERATORS)
def test_losses(case):
    case.check()
