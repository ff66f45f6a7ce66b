"""BiasSplitGelu: half of the channels, weighted by Gelu of the other half."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

from .gelu import gelu


def bias_split_gelu(x, bias):
    """Return left * Gelu(right), the halves of x + bias."""
    left, right = np.split(x + bias, 2, axis=-1)
    return (left * gelu(right)[0],)


def body(writer, x, bias):
    """Write it as Add, the two halves, and their product."""
    halves = writer.add("Reshape", writer.add("Add", x, bias), writer.constant([0, 0, 2, -1]))
    left, right = (writer.add("Gather", halves, writer.constant(i), axis=2) for i in range(2))
    weight = writer.add("Gelu", right, domain="com.microsoft")
    return (writer.add("Mul", left, weight),)


@hookimpl
def cml_op():
    """BiasSplitGelu of com.microsoft, of diffusion models."""
    x = np.float32([[[1, -2, 0.5, 1], [2, 0, -1, 3]]])
    bias = np.float32([1, 1, 0, -1])
    y = np.float32([[[0.69146246, 0], [-0.47596577, 1.95449974]]])
    return OpPlugin(
        schema=OpSchema("BiasSplitGelu", (1,), domain="com.microsoft"),
        numpy_op=bias_split_gelu,
        body=body,
        examples=(OpExample((x, bias), outputs=(y,), n_bits=6, lookups=12, max_bits=7),),
    )
