"""TreePaths (domain cml): results of a tree ensemble as weighted sums of bits; see `tree_plan`.

What the tree ensembles of ai.onnx.ml are quantized as. Under encryption every path costs one
lookup of at most two bits. A comparison costs none if the client encrypts a thermometer, else one
lookup as wide as the feature.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    Bounds,
    EncryptedTensor,
    Grid,
    Interval,
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

#: Arrays that a stage consists of.
_PER_STAGE = 4


def _stages(arrays):
    return [arrays[k : k + _PER_STAGE] for k in range(0, len(arrays), _PER_STAGE)]


def tree_paths(x, cuts, feature, weights, low, high, *stages):
    bits = (x[:, feature] > cuts).astype(np.float32)
    for index, factor, start, target in _stages(stages):
        total = np.einsum("nmk,mk->nm", bits[:, index], factor.astype(np.float32))
        bits = np.concatenate([bits, total + start == target], axis=1, dtype=np.float32)
    return ((bits.astype(np.float64) @ weights).astype(np.int64),)


def _ask_for_cuts(recorder, inputs, outputs, attributes):
    x, cuts, feature, *_ = inputs
    element = feature + x.shape[1] * np.arange(len(x))[:, np.newaxis]
    recorder.propose_cuts(0, np.tile(cuts, len(x)), element.reshape(-1))


class QuantizedTreePaths:
    """TreePaths of an encrypted tensor by a clear plan."""

    def __call__(self, ctx: LoweringContext, x, *plan):
        if any(isinstance(array, EncryptedTensor) for array in plan):
            ctx.refuse("its plan is encrypted", "Only X may be.")
        if x.ndim != 2:
            ctx.refuse(f"it takes rows of features, not a tensor of shape {x.shape}")
        cuts, feature, weights, low, high, *stages = plan
        emit = ctx.builder.emit
        bits = _steps(ctx, x, cuts, feature)
        for stage in _stages(stages):
            bits = emit(Opcode.CONCAT, [bits, _paths(ctx, bits, *stage)], {"axis": 0})
        (used,) = np.nonzero((weights != 0).any(axis=1))
        bits = _picked(ctx, bits, np.repeat(used[np.newaxis], x.shape[0], axis=0), rows=0)
        result = emit(
            Opcode.MATMUL,
            [bits],
            constants={"weight": weights[used]},
            interval=Interval(int(low.min(initial=0)), int(high.max(initial=0))),
            bounds=Bounds(*(np.repeat(end[np.newaxis], x.shape[0], axis=0) for end in (low, high))),
            packed=True,
        )
        return (EncryptedTensor.on_grid(result, 1.0, 0.0, np.int64),)


def _picked(ctx, bits, variable, *, rows):
    """Variables `(V, N)` for each row, whose axis in the result is given."""
    count = bits.shape[1]
    shape = [1] * variable.ndim
    shape[rows] = count
    index = variable * count + np.arange(count).reshape(shape)
    flat = ctx.builder.emit(Opcode.RESHAPE, [bits], shape=(bits.size,))
    return ctx.builder.emit(Opcode.GATHER, [flat], constants={"index": index})


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


def _paths(ctx, bits, index, factor, start, target):
    """Whether all bits of each sum are one, bits `(M, N)`."""
    emit = ctx.builder.emit
    spread = len(target), bits.shape[1]
    start, target = (np.broadcast_to(v[:, np.newaxis], spread) for v in (start, target))
    index, factor = (
        np.repeat(values[:, np.newaxis], bits.shape[1], axis=1) for values in (index, factor)
    )
    total = _picked(ctx, bits, index, rows=1)
    if (factor != 1).any():
        total = emit(Opcode.MULTIPLY, [total], constants={"operand": factor})
    # Bits that cannot be one together are subtracted from one another, so no sum is negative.
    known = {
        "interval": Interval(0, int(target.max())),
        "bounds": Bounds(np.zeros_like(target), target),
    }
    whole = {} if start.any() else known
    total = emit(Opcode.SUM, [total], {"axes": (2,), "keepdims": False}, **whole)
    if start.any():
        total = emit(Opcode.ADD, [total], constants={"operand": start}, **known)
    targets, which = np.unique(target, return_inverse=True)
    tables = np.equal(np.arange(targets.max() + 1), targets[:, np.newaxis]).astype(np.int64)
    constants = (
        {"tables": tables}
        if len(tables) == 1
        else {"tables": tables, "index": which.reshape(target.shape)}
    )
    return emit(Opcode.LOOKUP, [total], {"offset": 0, "shift": 0}, constants)


@hookimpl
def cml_op():
    x = np.float32([[0.2, 1.5], [0.7, -0.5], [0.9, 2.5]])
    cuts, feature = np.array([0.5, 1.0, 2.0]), np.array([0, 1, 1])
    # x0 > 0.5 and x1 <= 1; then x0 <= 0.5 and 1 < x1 <= 2.
    stage = (
        np.array([[0, 1, 1], [0, 1, 2]]),
        np.array([[1, -1, 0], [-1, 1, -1]]),
        np.array([1, 1]),
        np.array([2, 2]),
    )
    weights = np.array([[1, 0], [0, 0], [0, 2], [3, 0], [-1, 1]])
    low, high = np.array([-1, 0]), np.array([4, 3])
    plan = (cuts, feature, weights, low, high, *stage)
    one = (cuts[:1], feature[:1], np.array([[2]]), np.array([0]), np.array([2]))
    return OpPlugin(
        schema=OpSchema("TreePaths", since_versions=(1,), kind=OpKind.LINEAR, domain="cml"),
        numpy_op=tree_paths,
        quantized_op=QuantizedTreePaths(),
        calibration_hook=_ask_for_cuts,
        examples=(
            OpExample(
                (x, *plan),
                outputs=(np.array([[-1, 1], [4, 0], [1, 2]]),),
                tolerance=0.0,
                lookups=6,
                max_bits=2,
                name="two paths",
            ),
            OpExample(
                (x[:1], *one),
                outputs=(np.array([[0]]),),
                tolerance=0.0,
                lookups=0,
                name="one comparison",
            ),
        ),
        restrictions="its plan must be clear",
    )
