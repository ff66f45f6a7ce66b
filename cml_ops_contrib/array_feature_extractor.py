"""ArrayFeatureExtractor: elements along the last axis, chosen by indices.

With clear indices it costs nothing; an encrypted index into clear data is a decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    broadcast_to,
    elementwise,
    hookimpl,
    reshape,
)


def array_feature_extractor(x, y):
    if x.ndim == 0:
        raise AttributeValueError("rank of X", 0, "1 or more")
    indices = y.reshape(-1)
    if indices.size == 0 or indices.min() < 0 or indices.max() >= x.shape[-1]:
        expected = f"some indices from 0 to {x.shape[-1] - 1}"
        raise AttributeValueError("Y", indices.tolist(), expected)
    chosen = np.take(x, indices, axis=-1)
    return (chosen.reshape(1, -1) if x.ndim == 1 else chosen,)


class QuantizedArrayFeatureExtractor:
    """ArrayFeatureExtractor with encrypted data or encrypted indices."""

    def __call__(self, ctx: LoweringContext, x, y):
        if not isinstance(y, EncryptedTensor):
            return MovementQuantizedOp(array_feature_extractor)(ctx, x, y)
        if isinstance(x, EncryptedTensor):
            ctx.refuse("its data and its indices are both encrypted", "One must be clear.")
        if x.dtype.kind == "O":
            ctx.refuse("its encrypted indices choose strings", 'Use tail="client".')
        size, count = x.shape[-1], y.register.size
        table = x.reshape(-1, size)
        spread = broadcast_to(ctx, reshape(ctx, y, (1, count)), (len(table), count))

        def entry(index, row):
            return table[row, np.clip(np.asarray(index).astype(np.int64), 0, size - 1)]

        chosen = elementwise(ctx, entry, spread, np.arange(len(table))[:, np.newaxis])
        leading = x.shape[:-1] if x.ndim > 1 else (1,)
        return (reshape(ctx, chosen, (*leading, count)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, 0.25]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema(
            "ArrayFeatureExtractor", since_versions=(1,), kind=OpKind.MOVEMENT, domain="ai.onnx.ml"
        ),
        numpy_op=array_feature_extractor,
        quantized_op=QuantizedArrayFeatureExtractor(),
        tail=True,
        examples=(
            OpExample((x, np.array([2, 0])), lookups=0, name="columns"),
            OpExample((x[0], np.array([[1]])), lookups=0, name="of a vector"),
            OpExample(
                (np.array([5, 3, 8]), np.array([[2, 0]])),
                encrypted=(1,),
                tolerance=0.0,
                lookups=2,
                max_bits=2,
                name="encrypted indices",
            ),
            OpExample(
                (x, np.array([0, 2, 1])), encrypted=(1,), name="encrypted indices into two rows"
            ),
            OpExample(
                (np.array(["a", "b"], dtype=object), np.array([1, 0])),
                {},
                (np.array([["b", "a"]], dtype=object),),
                encrypted=(),
                name="strings",
            ),
        ),
        restrictions="of data and indices one must be clear; encrypted indices choose no strings",
    )
