"""TreePaths (domain cml): results of a tree ensemble as weighted sums of bits; see `tree_plan`.

What the tree ensembles of ai.onnx.ml are quantized as. Under encryption every path costs one
lookup of two bits, and what is packed one of up to four. A comparison costs none if the client
encrypts a thermometer, else one as wide as the feature. Of several plans, the cheapest is taken.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    Opcode,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    lookup,
)
from cml_ops_contrib._shared.tree_bits import Bits
from cml_ops_contrib._shared.tree_stages import RESULT

#: Arrays that a plan consists of beside its stages, and that a stage consists of.
_PER_PLAN, _PER_STAGE = 5, 4


def _plans(stages, arrays):
    """The arrays of each plan, and those of each of its stages."""
    plans, start = [], 0
    for count in np.asarray(stages).tolist():
        end = start + _PER_PLAN + count * _PER_STAGE
        parts = [arrays[k : k + _PER_STAGE] for k in range(start + _PER_PLAN, end, _PER_STAGE)]
        plans.append((*arrays[start : start + _PER_PLAN], parts))
        start = end
    return plans


def tree_paths(x, stages, *arrays):
    cuts, feature, weights, first, _, parts = _plans(stages, arrays)[0]
    bits = (x[:, feature] > cuts).astype(np.int64)
    for index, factor, start, table in parts:
        total = np.einsum("nmk,mk->nm", bits[:, index], factor) + start
        bits = np.concatenate([bits, table[np.arange(len(table)), total]], axis=1)
    return (bits @ weights + first,)


def _ask_for_cuts(recorder, inputs, outputs, attributes):
    x, stages, *arrays = inputs
    plans = _plans(stages, arrays)
    cuts, feature = (np.concatenate([plan[k] for plan in plans]) for k in (0, 1))
    element = feature + x.shape[1] * np.arange(len(x))[:, np.newaxis]
    recorder.propose_cuts(0, np.tile(cuts, len(x)), element.reshape(-1))


class QuantizedTreePaths:
    """TreePaths of an encrypted tensor by the cheapest of clear plans."""

    def __call__(self, ctx: LoweringContext, x, stages, *arrays):
        if any(isinstance(array, EncryptedTensor) for array in (stages, *arrays)):
            ctx.refuse("its plan is encrypted", "Only X may be.")
        if x.ndim != 2:
            ctx.refuse(f"it takes rows of features, not a tensor of shape {x.shape}")
        found = [_computed(ctx, x, *plan) for plan in _plans(stages, arrays)]
        if len(found) > 1:
            found.sort(key=lambda r: ctx.builder.complexity([r]) + RESULT * r.size)
        return (EncryptedTensor.on_grid(found[0], 1.0, 0.0, np.int64),)


def _computed(ctx, x, cuts, feature, weights, start, top, stages):
    """The results of a plan, integers `(N, R)`."""
    bits = Bits(ctx, [_steps(ctx, x, cuts, feature)])
    for stage in stages:
        bits.look_up(*stage)
    return bits.results(weights, start, top)


def _steps(ctx, x, cuts, feature):
    """Whether each feature exceeds each of its cuts, bits `(T, N)`."""
    # Comparisons are exact: nothing may be rounded away before them.
    register = attrs.evolve(x.register, packed=True)
    register = ctx.builder.emit(Opcode.RESHAPE, [register], shape=(register.size,))
    index = feature[:, np.newaxis] + x.shape[1] * np.arange(x.shape[0])
    register = ctx.builder.emit(Opcode.GATHER, [register], constants={"index": index})
    asked = attrs.evolve(x, register=register, channel=x.channel.reshape(-1)[index], name="")
    exceeds = elementwise(ctx, np.greater, asked, cuts[:, np.newaxis])
    return lookup(ctx, exceeds, Grid(1.0, 0.0, 2)).register


@hookimpl
def cml_op():
    x = np.float32([[0.2, 1.5], [0.7, -0.5], [0.9, 2.5]])
    cuts, feature = np.array([0.5, 1.0, 2.0]), np.array([0, 1, 1])
    # x0 > 0.5 and x1 <= 1; then x0 <= 0.5 and 1 < x1 <= 2.
    paths = (
        np.array([[0, 1, 1], [0, 1, 2]]),
        np.array([[1, -1, 0], [-1, 1, -1]]),
        np.array([1, 1]),
        np.array([[0, 0, 1, 0], [0, 0, 1, 0]]),
    )
    # Both bins as one integer of six values.
    packed = (
        np.array([[0, 1, 2]]),
        np.array([[1, 2, 2]]),
        np.array([0]),
        np.array([[0, 3, 4, 1, 0, 2, 0, 0]]),
    )
    weights = np.array([[1, 0], [0, 0], [0, 2], [3, 0], [-1, 1]])
    plan = (cuts, feature, weights, np.array([1, 0]), np.array([5, 3]), *paths)
    one = (cuts[:1], feature[:1], np.array([[2]]), np.array([0]), np.array([2]))
    whole = (cuts, feature, np.array([[0], [0], [0], [1]]), np.array([0]), np.array([4]), *packed)
    return OpPlugin(
        schema=OpSchema("TreePaths", since_versions=(1,), kind=OpKind.LINEAR, domain="cml"),
        numpy_op=tree_paths,
        quantized_op=QuantizedTreePaths(),
        calibration_hook=_ask_for_cuts,
        examples=(
            OpExample(
                (x, np.array([1]), *plan),
                outputs=(np.array([[0, 1], [5, 0], [2, 2]]),),
                tolerance=0.0,
                lookups=6,
                max_bits=3,
                name="two paths",
            ),
            OpExample(
                (x, np.array([1]), *whole),
                outputs=(np.array([[4], [3], [2]]),),
                tolerance=0.0,
                lookups=3,
                max_bits=3,
                name="a packed tree",
            ),
            OpExample(
                (x[:1], np.array([0]), *one),
                outputs=(np.array([[0]]),),
                tolerance=0.0,
                lookups=0,
                name="one comparison",
            ),
        ),
        restrictions="its plan must be clear",
    )
