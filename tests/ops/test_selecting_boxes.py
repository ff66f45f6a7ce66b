"""NonMaxSuppression and Unique: what is chosen of many, against onnxruntime."""

import numpy as np
import pytest

from tests.one_node import assert_as, assert_refused, of_onnxruntime, results


def boxes_and_scores(rng, images, kinds, count, *, ties):
    if ties:
        boxes = rng.integers(0, 4, (images, count, 4)).astype(np.float32)
        return boxes, rng.integers(0, 4, (images, kinds, count)).astype(np.float32) / 4
    boxes = rng.uniform(size=(images, count, 4)).astype(np.float32)
    return boxes, rng.uniform(size=(images, kinds, count)).astype(np.float32)


@pytest.mark.parametrize("opset", [10, 11])
@pytest.mark.parametrize("center_point_box", [0, 1])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [0, 1, 30, 700])
def test_the_boxes_that_onnxruntime_selects(opset, center_point_box, ties, count):
    rng = np.random.default_rng(0)
    for most, overlap, least in (
        (None, None, None),
        (0, 0.5, None),
        (-1, 0.5, 0.0),
        (3, 0.0, 0.25),
        (1000, 0.3, None),
        (100, 1.0, 0.5),
    ):
        boxes, scores = boxes_and_scores(rng, 2, 3, count, ties=ties)
        numbers = [(most, np.int64), (overlap, np.float32), (least, np.float32)]
        inputs = [boxes, scores, *(None if n is None else np.array([n], t) for n, t in numbers)]
        options = {"opset": opset, "center_point_box": center_point_box}
        assert_as(of_onnxruntime, "NonMaxSuppression", inputs, **options)


def test_what_is_not_a_number_overlaps_nothing_and_comes_last():
    rng = np.random.default_rng(0)
    boxes, scores = boxes_and_scores(rng, 1, 1, 20, ties=True)
    boxes[0, 3:6, 1] = np.nan
    boxes[0, 7, 2] = np.inf
    inputs = [boxes, scores, np.array(20), np.float32(0.2)]
    (chosen,) = results("NonMaxSuppression", inputs, opset=11)
    np.testing.assert_array_equal(chosen, of_onnxruntime("NonMaxSuppression", inputs, opset=11)[0])
    scores[0, 0, 2] = np.nan
    (chosen,) = results("NonMaxSuppression", [boxes[:, :3], scores[..., :3], *inputs[2:]], opset=11)
    assert chosen[-1, 2] == 2
    inputs = [boxes[:, :3], scores[..., :3], *inputs[2:], np.float32(-1)]
    assert 2 not in results("NonMaxSuppression", inputs, opset=11)[0][:, 2]


@pytest.mark.parametrize(
    ("match", "place", "value"),
    [
        (r"shape of boxes is \(1, 2, 3\)", 0, np.zeros((1, 2, 3), np.float32)),
        (
            r"shape of scores is \(1, 1, 5\), expected \(1, classes, 2\)",
            1,
            np.zeros((1, 1, 5), "f"),
        ),
        ("iou_threshold is 1.5, expected a number from 0 to 1", 3, np.float32([1.5])),
        ("iou_threshold is nan", 3, np.float32(np.nan)),
        ("shape of max_output_boxes_per_class", 2, np.array([1, 2])),
    ],
)
def test_what_is_no_box_or_limit_is_refused(match, place, value):
    inputs = [np.zeros((1, 2, 4), "f"), np.zeros((1, 1, 2), "f"), np.array(1), np.float32(0.5)]
    inputs[place] = value
    assert_refused(match, "NonMaxSuppression", inputs, opset=11)


def test_boxes_have_two_formats():
    inputs = [np.zeros((1, 2, 4), "f"), np.zeros((1, 1, 2), "f")]
    assert_refused(
        "center_point_box is 2", "NonMaxSuppression", inputs, opset=11, center_point_box=2
    )


# --- Unique ---------------------------------------------------------------------------------------


def values(kind, shape):
    numbers = np.random.default_rng(0).integers(0, 3, shape)
    if kind == "text":
        return np.array(["b", "aé", ""], dtype=object)[numbers]
    return (numbers - 1).astype(kind)


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "int8", "text"])
@pytest.mark.parametrize("in_order", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((12,), None),
        ((12,), 0),
        ((3, 4), None),
        ((6, 2), 0),
        ((2, 6), -1),
        ((2, 5, 2), 1),
        ((1, 1, 9), 2),
        ((0,), None),
        ((2, 0), None),
    ],
)
def test_the_different_ones_are_those_of_onnxruntime(kind, in_order, shape, axis):
    x = values(kind, shape)
    options = {"opset": 11, "n_outputs": 4, "sorted": in_order}
    if axis is not None:
        options["axis"] = axis
    got = results("Unique", [x], **options)
    for mine, theirs in zip(got, of_onnxruntime("Unique", [x], **options), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("shape", "axis", "shapes"),
    [
        ((3, 0), 0, [(1, 0), (1,), (3,), (1,)]),
        ((0, 3), 0, [(0, 3), (0,), (0,), (0,)]),
        ((), None, [(1,), (1,), (1,), (1,)]),
    ],
)
def test_slices_of_nothing_are_all_the_same(shape, axis, shapes):
    options = {} if axis is None else {"axis": axis}
    found = results("Unique", [np.zeros(shape, "f")], opset=11, n_outputs=4, **options)
    assert [array.shape for array in found] == shapes


@pytest.mark.parametrize("axis", [None, 1])
def test_not_a_number_is_one_value(axis):
    x = np.float32([[np.nan, 1, np.nan, 0.0, -0.0]])
    options = {} if axis is None else {"axis": axis}
    y, first, which, counts = results("Unique", [x], opset=11, n_outputs=4, **options)
    np.testing.assert_array_equal(y.reshape(-1), [0, 1, np.nan])
    np.testing.assert_array_equal(first, [3, 1, 0])
    np.testing.assert_array_equal(which, [2, 1, 2, 0, 0])
    np.testing.assert_array_equal(counts, [2, 1, 2])


def test_unique_needs_an_axis_that_is_there():
    assert_refused("axis is 2", "Unique", [np.zeros((2, 2), "f")], opset=11, axis=2)
    assert_refused("sorted is 2", "Unique", [np.zeros((2, 2), "f")], opset=11, sorted=2)
