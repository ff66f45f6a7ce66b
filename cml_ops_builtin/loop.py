"""Loop: a graph run again and again, by a count, a condition or both.

The graph gets the number of the iteration, the condition and the carried tensors; it gives the next
condition, the next carried tensors, and what each iteration adds to the outputs that grow.
"""

from __future__ import annotations

import itertools

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.looping import gathered, is_true


def loop(m, cond, *carried, body):
    if len(body.inputs) != 2 + len(carried) or len(body.outputs) < 1 + len(carried):
        raise AttributeValueError(
            "body",
            f"a graph of {len(body.inputs)} inputs and {len(body.outputs)} outputs",
            f"{2 + len(carried)} inputs and at least {1 + len(carried)} outputs",
        )
    count = len(carried)
    grown = [[] for _ in body.outputs[1 + count :]]
    trips = itertools.count() if m is None else range(_trips(m))
    # With no condition given, the one that the graph computes counts for nothing.
    going = True if cond is None else is_true("cond", cond)
    for trip in trips:
        if not going:
            break
        results = body(np.array(trip, dtype=np.int64), np.array(going), *carried)
        going = cond is None or is_true("the condition that the body gives", results[0])
        carried = results[1 : 1 + count]
        for elements, result in zip(grown, results[1 + count :], strict=True):
            elements.append(result)
    specs = body.outputs[1 + count :]
    pairs = zip(grown, specs, strict=True)
    return (*carried, *(gathered(elements, spec) for elements, spec in pairs))


def _trips(m):
    if np.size(m) != 1:
        raise ValueError(f"M has shape {np.shape(m)}, expected one number")
    return max(0, int(np.reshape(m, ())))


@hookimpl
def cml_op():
    def info(name, kind, shape=()):
        return helper.make_tensor_value_info(name, kind, shape)

    # The carried number is doubled each time, and every value that it takes is kept.
    body = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Identity", ["twice"], ["kept"]),
        ],
        "body",
        [
            info("trip", TensorProto.INT64),
            info("going", TensorProto.BOOL),
            info("x", TensorProto.FLOAT, [1]),
        ],
        [
            info("go_on", TensorProto.BOOL),
            info("twice", TensorProto.FLOAT, [1]),
            info("kept", TensorProto.FLOAT, [1]),
        ],
    )
    start = np.array([1.5], dtype=np.float32)
    kept = np.array([[3.0], [6.0], [12.0]], dtype=np.float32)
    none = np.zeros((0, 1), dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Loop", since_versions=(1, 11, 13, 16, 19, 21, 23, 24, 25)),
        numpy_op=loop,
        examples=(
            OpExample(
                (np.array(3), None, start),
                {"body": body},
                (kept[-1], kept),
                n_outputs=2,
                encrypted=(),
                name="three times",
            ),
            OpExample(
                (np.array(3), np.array(False), start),
                {"body": body},
                (start, none),
                n_outputs=2,
                encrypted=(),
                name="not even once",
            ),
        ),
    )
