"""Boxes that overlap least, and values that are different."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import BOOL, FLOATS, HALF, SIGNED, STRINGS, array, axis_of, shape


def non_max_suppression(draw, dtype, revision):
    rng = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    batch, classes = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    count = draw(st.integers(1, 6))
    boxes = rng.uniform(-1, 1, (batch, count, 4))
    attributes = {}
    if draw(st.booleans()):
        # A centre, and a width and a height.
        boxes[..., 2:] = np.abs(boxes[..., 2:]) + 0.1
        attributes["center_point_box"] = 1
    # No two scores are the same, which would leave the order open.
    scores = rng.permutation(batch * classes * count).reshape(batch, classes, count) / 32
    inputs = [boxes.astype(np.float32), scores.astype(np.float32)]
    most = np.array([draw(st.integers(0, 4))])
    overlap = np.float32([draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))])
    least = np.float32([draw(st.sampled_from([0.01, 0.11]))])
    return Node(inputs + [most, overlap, least][: draw(st.integers(1, 3))], attributes)


def unique(draw, dtype, revision):
    size = shape(draw, 1, 3)
    x = array(draw, dtype, size, kinds=("ties",))
    attributes = {"axis": axis_of(draw, len(size))} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        attributes["sorted"] = draw(st.integers(0, 1))
    return Node([x], attributes, 4)


OPERATORS = {
    "NonMaxSuppression": Operator(non_max_suppression, FLOATS[:1]),
    "Unique": Operator(
        unique,
        FLOATS + HALF + SIGNED + BOOL + STRINGS,
        tolerance=0,
        faults=[
            Fault(
                "onnxruntime",
                "ends the process where there is nothing",
                when=lambda node, case: node.inputs[0].size == 0,
            ),
            Fault(
                "reference",
                "flattens nothing that is not sorted",
                when=lambda node, case: node.attributes.get("sorted") == 0,
            ),
        ],
    ),
}


@agreement(OPERATORS)
def test_selection(case):
    case.check()
