"""Gradient: how the sum of a tensor's elements changes with those of others.

The part of the graph that lies between them is run at points around the given one, in float64, and
differences of fourth order are taken: exact to about twelve digits where the function is smooth, in
four runs for each element. It serves to look at small models; to train large ones, rules for
each operator would be needed.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl

#: Weights of the function at one and two steps from a point, on either side.
_WEIGHTS = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}
#: The fifth root of float64's precision: there, rounding and truncation errors are alike.
_STEP = np.finfo(np.float64).eps ** 0.2


def gradient(*tensors, xs, zs=None, y, graph):
    names = [*xs, *(zs or ())]
    if len(tensors) != len(names):
        raise AttributeValueError("xs and zs", names, f"{len(tensors)} names, one for each input")
    for name, tensor in zip(xs, tensors, strict=False):
        if tensor.dtype.kind != "f":
            raise AttributeValueError("xs", name, "names of floating-point tensors")
    function = graph.between(names, y)
    points = [t.astype(np.float64) if t.dtype.kind == "f" else t for t in tensors]
    slopes = [_slopes(function, points, place) for place in range(len(xs))]
    return tuple(s.astype(t.dtype) for s, t in zip(slopes, tensors, strict=False))


def _slopes(function, points, place):
    point = points[place]
    slopes = np.zeros(point.size)
    for element, value in enumerate(point.flat):
        step = _STEP * max(1.0, abs(value))
        for count, weight in _WEIGHTS.items():
            moved = point.copy()
            moved.flat[element] = value + count * step
            result = function(*points[:place], moved, *points[place + 1 :])
            slopes[element] += weight * np.sum(result, dtype=np.float64) / step
    return slopes.reshape(point.shape)


@hookimpl
def cml_op():
    x = np.array([1.0, -2.0], dtype=np.float32)
    itself = {"xs": ["input0"], "y": "input0"}
    return OpPlugin(
        schema=OpSchema(
            "Gradient", since_versions=(1,), domain="ai.onnx.preview.training", sees_graph=True
        ),
        numpy_op=gradient,
        examples=(
            OpExample((x,), itself, (np.ones_like(x),), encrypted=(), name="of the input itself"),
        ),
        restrictions="by differences: four runs of the graph for each element",
    )
