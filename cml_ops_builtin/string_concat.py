"""StringConcat: strings of two tensors joined, element by element, with broadcasting."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def string_concat(x, y):
    return (np.asarray(np.add(x, y), dtype=object),)


@hookimpl
def cml_op():
    names = np.array(["model", "weights"], dtype=object)
    endings = np.array([[".onnx"], [""]], dtype=object)
    joined = np.array([["model.onnx", "weights.onnx"], ["model", "weights"]], dtype=object)
    return OpPlugin(
        schema=OpSchema("StringConcat", since_versions=(20,)),
        numpy_op=string_concat,
        examples=(
            OpExample((names, endings), outputs=(joined,), encrypted=(), name="broadcast"),
            OpExample(
                (np.array("a", dtype=object), np.array("é", dtype=object)),
                outputs=(np.array("aé", dtype=object),),
                encrypted=(),
                name="single strings",
            ),
        ),
    )
