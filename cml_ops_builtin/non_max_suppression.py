"""NonMaxSuppression: the boxes of highest score that do not overlap each other too much.

For each image and class, boxes are taken by falling score, of equal ones the first; each removes
those whose intersection over union with it exceeds the threshold.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl

#: Most boxes, and most pairs of them, that are compared at once.
_BLOCK = 256
_PAIRS = 2**20


def non_max_suppression(
    boxes,
    scores,
    max_output_boxes_per_class=None,
    iou_threshold=None,
    score_threshold=None,
    *,
    center_point_box,
):
    _check(boxes, scores, center_point_box)
    most = int(_number("max_output_boxes_per_class", max_output_boxes_per_class, 0))
    overlap = _number("iou_threshold", iou_threshold, np.float32(0))
    if not 0 <= overlap <= 1:
        raise AttributeValueError("iou_threshold", float(overlap), "a number from 0 to 1")
    least = _number("score_threshold", score_threshold, None)
    candidates = np.ones(scores.shape, dtype=bool) if least is None else scores > least
    low, high = _corners(boxes, center_point_box)
    found = [np.zeros((0, 3), dtype=np.int64)]
    if most > 0:
        for image, kind in np.argwhere(candidates.any(axis=2)):
            (places,) = np.nonzero(candidates[image, kind])
            # By falling score: the sort is stable, and puts what is not a number last.
            places = places[np.argsort(-scores[image, kind, places], kind="stable")]
            chosen = _apart(low[image, places], high[image, places], overlap, most)
            found.append(np.insert(places[chosen, np.newaxis], 0, [[image], [kind]], axis=1))
    return (np.concatenate(found),)


def _check(boxes, scores, center_point_box):
    if center_point_box not in (0, 1):
        raise AttributeValueError("center_point_box", center_point_box, "0 or 1")
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise AttributeValueError("shape of boxes", boxes.shape, "(images, boxes, 4)")
    if scores.ndim != 3 or scores.shape[::2] != boxes.shape[:2]:
        expected = f"({boxes.shape[0]}, classes, {boxes.shape[1]})"
        raise AttributeValueError("shape of scores", scores.shape, expected)


def _number(name, tensor, default):
    if tensor is None:
        return default
    if tensor.size != 1:
        raise AttributeValueError(f"shape of {name}", tensor.shape, "one number")
    return tensor.reshape(-1)[0]


def _corners(boxes, center_point_box):
    """Lower and upper coordinates of boxes, each of shape (..., 2)."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if center_point_box:
        return first - second / 2, first + second / 2
    return np.minimum(first, second), np.maximum(first, second)


def _apart(low, high, overlap, most):
    """Places of at most so many boxes, in order, each of which no earlier one removes."""
    left, chosen = np.arange(len(low)), []
    while left.size and len(chosen) < most:
        # Many boxes are compared at once, however many of them are chosen.
        block = max(1, min(_BLOCK, 4 * most, _PAIRS // left.size))
        head, left = left[:block], left[block:]
        removes = _overlap_more(low, high, head, head, overlap)
        free, kept = np.ones(head.size, dtype=bool), []
        while free.any() and len(chosen) + len(kept) < most:
            best = int(free.argmax())
            kept.append(best)
            free &= ~removes[best]
            free[best] = False
        chosen.extend(head[kept])
        if len(chosen) < most:
            left = left[~_overlap_more(low, high, head[kept], left, overlap).any(axis=0)]
    return chosen


def _overlap_more(low, high, some, others, overlap):
    """Whether intersection over union exceeds the threshold, for each pair of boxes."""
    sides = [
        np.minimum.outer(high[some, axis], high[others, axis])
        - np.maximum.outer(low[some, axis], low[others, axis])
        for axis in range(2)
    ]
    common = sides[0] * sides[1]
    areas = [np.prod(high[places] - low[places], axis=-1) for places in (some, others)]
    share = common / (np.add.outer(*areas) - common)
    return (sides[0] > 0) & (sides[1] > 0) & (share > overlap)


@hookimpl
def cml_op():
    corners = [[0, 0, 1, 1], [0, 1.1, 1, 0.1], [0, 10, 1, 11], [0, 10, 1, 11], [0, 50, 1, 51]]
    boxes = np.float32([corners])
    centers = np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, np.ones((1, 5, 2))], axis=2)
    scores = np.float32([[[0.9, 0.75, 0.5, 0.5, 0.95], [0.2, 0.3, 0.1, 0.4, 0.4]]])
    three, half, least = np.array([3]), np.float32([0.5]), np.float32([0.35])
    return OpPlugin(
        schema=OpSchema("NonMaxSuppression", since_versions=(10, 11)),
        numpy_op=non_max_suppression,
        examples=(
            OpExample(
                (boxes, scores, three, half),
                outputs=(
                    np.array([[0, 0, 4], [0, 0, 0], [0, 0, 2], [0, 1, 3], [0, 1, 4], [0, 1, 1]]),
                ),
                encrypted=(),
                name="corners",
            ),
            OpExample(
                (centers.astype(np.float32), scores, three, half, least),
                {"center_point_box": 1},
                encrypted=(),
                opset=10,
                name="centers, least score",
            ),
            OpExample(
                (boxes, scores),
                outputs=(np.zeros((0, 3), dtype=np.int64),),
                encrypted=(),
                name="no boxes wanted",
            ),
        ),
    )
