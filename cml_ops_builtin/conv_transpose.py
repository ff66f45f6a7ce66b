"""ConvTranspose: the transpose of a convolution; every input element adds a copy of the filter.

Under encryption X is encrypted and W clear. Outputs whose positions leave the same remainder when
divided by the strides are an ordinary convolution of X with every stride-th part of the flipped
filters, so the product costs no lookup; the parts are then interleaved.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    UNKNOWN,
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    conv,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.interleaving import Interleaving
from cml_ops_builtin._shared.transposed_windows import divided, place_results
from cml_ops_builtin._shared.windows import spatial_attribute


def conv_transpose(x, w, b=None, *, group, **attributes):
    layout = place_results(x.shape, w.shape, group=group, **attributes)
    return (Interleaving.of(w, b, group, layout.strides, layout.dilations)(x, layout),)


def prepare(x, w, b=None, *, group, strides, dilations, **attributes):
    """Divide the filters; where results lie is found once for each size of images."""
    if not isinstance(w, np.ndarray) or b is UNKNOWN or w.ndim < 3 or group < 1 or len(w) % group:
        return None
    try:
        steps = [
            spatial_attribute(name, value, w.ndim - 2)
            for name, value in (("strides", strides), ("dilations", dilations))
        ]
    except AttributeValueError:
        return None  # It is said again, with the node's inputs, when the model is run.
    interleaving = Interleaving.of(w, b, group, *steps)
    settings = {"group": group, "strides": strides, "dilations": dilations, **attributes}

    @functools.lru_cache(maxsize=64)
    def layout(shape):
        return place_results(shape, w.shape, **settings)

    return lambda x, *weights: (interleaving(x, layout(x.shape)),)


class QuantizedConvTranspose:
    """ConvTranspose with clear filters and bias."""

    def __call__(self, ctx: LoweringContext, x, w, b=None, *, group, **attributes):
        for name, tensor in (("W", w), ("B", b)):
            if isinstance(tensor, EncryptedTensor):
                ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")
        layout = place_results(x.shape, w.shape, group=group, **attributes)
        rank = len(layout.output)
        parts, places = [], []
        for phases, part in divided(w, group, layout.strides, layout.dilations):
            dilations = tuple(p.dilation for p in phases)
            ends = [(n - 1) * d for n, d in zip(part.shape[2:], dilations, strict=True)]
            part = conv(
                ctx,
                x,
                np.flip(part, axis=tuple(range(2, 2 + rank))),
                strides=(1,) * rank,
                dilations=dilations,
                pads=(*ends, *ends),
                group=group,
            )
            rows = zip(phases, part.shape[2:], layout.strides, strict=True)
            places.append(tuple(slice(p.start, p.start + (n - 1) * s + 1, s) for p, n, s in rows))
            parts.append(part)

        def interleave(*numbers):
            whole = np.zeros((*numbers[0].shape[:2], *layout.whole), dtype=np.int64)
            for place, number in zip(places, numbers, strict=True):
                whole[(..., *place)] = number
            return layout.cut(whole)

        (y,) = move(ctx, interleave, parts)
        if b is not None:
            y = add(ctx, y, b.reshape(-1, *(1,) * rank))
        return (y,)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    return OpPlugin(
        schema=OpSchema("ConvTranspose", since_versions=(1, 11, 22), kind=OpKind.LINEAR),
        numpy_op=conv_transpose,
        quantized_op=QuantizedConvTranspose(),
        prepare=prepare,
        examples=(
            OpExample(
                (uniform(1, 2, 3), uniform(2, 1, 3), uniform(1)),
                {"strides": [2], "pads": [1, 0], "output_padding": [1]},
                name="one dimension, stride, padding and bias",
            ),
            OpExample(
                (uniform(1, 1, 2, 2), uniform(1, 2, 2, 2)),
                {"strides": [2, 1], "auto_pad": "SAME_UPPER"},
                name="two dimensions, padded to the strides' multiple",
            ),
            OpExample(
                (uniform(1, 2, 3), uniform(2, 1, 2)),
                {"group": 2, "dilations": [2], "pads": [1, 0]},
                name="two groups, dilated",
            ),
            OpExample(
                (
                    np.array([[[1.0, 2.0, -3.0]]], dtype=np.float32),
                    np.array([[[1.0, -1.0]]], dtype=np.float32),
                ),
                {"strides": [3], "output_shape": [7]},
                outputs=(np.array([[[-1.0, 0.0, 2.0, -2.0, 0.0, -3.0, 3.0]]], dtype=np.float32),),
                name="to a stated shape",
            ),
        ),
        restrictions="W and B must be clear",
    )
