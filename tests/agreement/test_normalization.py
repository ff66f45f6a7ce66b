"""Normalization, by statistics given, of the tensor, or of what is around."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import batch, finite, images
from tests.agreement.values import FLOATS, HALF, axis_of, optional, several_axes, shape


def epsilon(draw):
    return draw(st.sampled_from([1e-5, 1e-3, 0.1]))


def features(draw, max_rank=4):
    """Draw a shape (N, C, ...); N may be 0."""
    return (batch(draw), *shape(draw, 1, max_rank - 1, min_size=1))


def batch_normalization(draw, dtype, revision):
    size = features(draw)
    attributes = optional(draw, epsilon=epsilon(draw), momentum=0.5)
    each = size[1:2]
    if revision == 7 and draw(st.booleans()):
        each, attributes["spatial"] = size[1:], 0
    of_scale, of_mean = dtype, dtype
    if revision >= 14 and dtype == np.float16 and draw(st.booleans()):
        of_mean = np.dtype(np.float32)
        of_scale = of_mean if revision >= 15 else dtype
    scale, bias = (finite(draw, of_scale, each) for _ in range(2))
    mean, var = finite(draw, of_mean, each), finite(draw, of_mean, each, low=0.25, high=4)
    x = images(draw, dtype, size)
    return Node([x, scale, bias, mean, var], attributes, constants=draw(CONSTANT))


CONSTANT = st.sampled_from([(), (1, 2, 3, 4)])


def layer_normalization(draw, dtype, revision):
    size = shape(draw, 1, 4, min_size=1)
    axis = axis_of(draw, len(size))
    inner = size[axis:]
    inputs = [finite(draw, dtype, size), finite(draw, dtype, inner)]
    if draw(st.booleans()):
        inputs.append(finite(draw, dtype, inner))
    attributes = optional(draw, epsilon=epsilon(draw))
    if axis != -1 or draw(st.booleans()):
        attributes["axis"] = axis
    return Node(inputs, attributes, draw(st.integers(1, 3)))


def rms_normalization(draw, dtype, revision):
    node = layer_normalization(draw, dtype, revision)
    return Node(node.inputs[:2], node.attributes)


def group_normalization(draw, dtype, revision):
    groups, each = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size = (batch(draw), groups * each, *shape(draw, 1, 2, min_size=1))
    inputs = [finite(draw, dtype, size), *(finite(draw, dtype, size[1:2]) for _ in range(2))]
    return Node(inputs, {"num_groups": groups, **optional(draw, epsilon=epsilon(draw))})


def instance_normalization(draw, dtype, revision):
    size = (*features(draw, 3), draw(st.integers(1, 5)))
    inputs = [finite(draw, dtype, size), *(finite(draw, dtype, size[1:2]) for _ in range(2))]
    return Node(inputs, optional(draw, epsilon=epsilon(draw)))


def lrn(draw, dtype, revision):
    size = (batch(draw), *shape(draw, 3, 3, min_size=1))
    numbers = {
        "alpha": draw(st.sampled_from([0.25, 1.0, 3.0])),
        "beta": draw(st.sampled_from([0.5, 1.0])),
        "bias": draw(st.sampled_from([0.5, 2.0])),
    }
    x = finite(draw, dtype, size)
    return Node([x], {"size": draw(st.integers(1, 5)), **optional(draw, **numbers)})


def locally_normalized(node, case):
    x, stated = node.inputs[0].astype(np.float64), node.attributes
    size, total = stated["size"], np.zeros_like(x, dtype=np.float64)
    for channel in range(x.shape[1]):
        first = max(0, channel - (size - 1) // 2)
        last = min(x.shape[1] - 1, channel + size // 2)
        total[:, channel] = np.square(x[:, first : last + 1]).sum(axis=1)
    divisor = stated.get("bias", 1.0) + stated.get("alpha", np.float32(1e-4)) / size * total
    return ((x / divisor ** stated.get("beta", 0.75)).astype(case.dtype),)


def lp_normalization(draw, dtype, revision):
    x = finite(draw, dtype, shape(draw, 1, 4))
    return Node([x], optional(draw, axis=axis_of(draw, x.ndim), p=draw(st.integers(1, 2))))


def mean_variance_normalization(draw, dtype, revision):
    # Without axes they are 0, 2 and 3.
    x = finite(draw, dtype, shape(draw, 4, 4, min_size=1))
    return Node([x], optional(draw, axes=several_axes(draw, x.ndim, min_size=1)))


def deviations(node):
    x = node.inputs[0].astype(np.float64)
    return x.std(axis=tuple(node.attributes.get("axes", (0, 2, 3))), keepdims=True)


def mean_variance_normalized(node, case):
    x = node.inputs[0].astype(np.float64)
    mean = x.mean(axis=tuple(node.attributes.get("axes", (0, 2, 3))), keepdims=True)
    return (((x - mean) / (deviations(node) + 1e-9)).astype(case.dtype),)


def grouped(node):
    """Instances and groups of channels of GroupNormalization or InstanceNormalization."""
    x = node.inputs[0].astype(np.float64)
    groups = node.attributes.get("num_groups", x.shape[1])
    return x.reshape(len(x), groups, math.prod(x.shape[1:]) // groups)


def normalized_groups(node, case):
    x, scale, bias = node.inputs
    groups = grouped(node)
    centred = groups - groups.mean(axis=2, keepdims=True)
    epsilon = node.attributes.get("epsilon", 1e-5)
    y = centred / np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + epsilon)
    scale, bias = (p.astype(np.float64).reshape(-1, *(1,) * (x.ndim - 2)) for p in (scale, bias))
    return ((y.reshape(x.shape) * scale + bias).astype(case.dtype),)


def group_hardly_varies(node, case):
    return grouped(node).std(axis=2).min(initial=1) < 0.5


STAGE_ONE = "by stash_type, onnxruntime or cml computes the first stage in float32"
CANCELS = "takes the difference of large numbers, where little varies"

OPERATORS = {
    "BatchNormalization": Operator(batch_normalization, FLOATS + HALF),
    "GroupNormalization": Operator(
        group_normalization,
        FLOATS + HALF,
        tolerance={"float16": 2e-2, "float32": 1e-4, "float64": 1e-4},
        why=STAGE_ONE + ", and the second one of float16 in float16",
        faults=[
            Fault("onnxruntime", "reshapes no instances to nothing", says="Reshape"),
            Fault("onnxruntime", CANCELS, when=group_hardly_varies),
            Fault("reference", CANCELS, when=group_hardly_varies),
        ],
        by_hand=normalized_groups,
    ),
    "InstanceNormalization": Operator(
        instance_normalization,
        FLOATS + HALF,
        tolerance={"float32": 1e-4},
        why=CANCELS,
        faults=[
            Fault("onnxruntime", CANCELS, when=group_hardly_varies),
            Fault(
                "reference", "computes in float16", when=lambda node, case: case.dtype == np.float16
            ),
        ],
        by_hand=normalized_groups,
    ),
    "LRN": Operator(
        lrn,
        FLOATS + HALF,
        faults=[
            Fault(
                "onnxruntime",
                "takes odd sizes alone",
                when=lambda node, case: node.attributes["size"] % 2 == 0,
            ),
            Fault("reference", "takes the batch for the channels"),
        ],
        by_hand=locally_normalized,
    ),
    "LayerNormalization": Operator(
        layer_normalization, FLOATS + HALF, tolerance={"float64": 1e-5}, why=STAGE_ONE
    ),
    "LpNormalization": Operator(lp_normalization, FLOATS + HALF),
    "MeanVarianceNormalization": Operator(
        mean_variance_normalization,
        FLOATS + HALF,
        tolerance={"float32": 1e-4},
        why="the other runtimes subtract the mean's square from that of the squares",
        faults=[
            Fault(runtime, CANCELS, when=lambda node, case: deviations(node).min() < 0.5)
            for runtime in ("onnxruntime", "reference")
        ],
        by_hand=mean_variance_normalized,
    ),
    "RMSNormalization": Operator(
        rms_normalization, FLOATS + HALF, tolerance={"float64": 1e-5}, why=STAGE_ONE
    ),
}


@agreement(OPERATORS)
def test_normalization(case):
    case.check()
