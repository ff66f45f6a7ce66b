"""FeatureVectorizer: tensors side by side, each cut or filled with zeros to its number of features.

Under encryption it costs nothing: elements move, and zeros are clear.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
)


def _side_by_side(tensors, widths):
    if len(widths or ()) != len(tensors):
        expected = f"one for each of {len(tensors)} inputs"
        raise AttributeValueError("number of inputdimensions", len(widths or ()), expected)
    parts = []
    for x, width in zip(tensors, widths, strict=True):
        count = 1 if x.ndim < 2 else len(x)
        rows = x.reshape(count, math.prod(x.shape[1:] if x.ndim > 1 else x.shape))[:, :width]
        parts.append(np.pad(rows, ((0, 0), (0, width - rows.shape[1]))))
    return np.concatenate(parts, axis=1)


def feature_vectorizer(*tensors, inputdimensions):
    return (_side_by_side([x.astype(np.float32) for x in tensors], inputdimensions),)


class QuantizedFeatureVectorizer:
    """FeatureVectorizer of tensors some of which are encrypted."""

    def __call__(self, ctx: LoweringContext, *tensors, inputdimensions):
        (y,) = move(ctx, lambda *numbers: _side_by_side(numbers, inputdimensions), tensors)
        if not isinstance(y, EncryptedTensor):
            return (y.astype(np.float32),)
        return (attrs.evolve(y, dtype=np.dtype(np.float32)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -2.0], [3.0, 0.5]], dtype=np.float32)
    integers = np.array([[4], [-1]])
    return OpPlugin(
        schema=OpSchema(
            "FeatureVectorizer", since_versions=(1,), kind=OpKind.MOVEMENT, domain="ai.onnx.ml"
        ),
        numpy_op=feature_vectorizer,
        quantized_op=QuantizedFeatureVectorizer(),
        examples=(
            OpExample(
                (x, integers),
                {"inputdimensions": [2, 1]},
                (np.float32([[1.0, -2.0, 4.0], [3.0, 0.5, -1.0]]),),
                encrypted=(0, 1),
                lookups=0,
                name="floats and integers",
            ),
            OpExample(
                (x, x[:, :1]),
                {"inputdimensions": [1, 3]},
                (np.float32([[1.0, 1.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]]),),
                tolerance=0.05,
                lookups=0,
                name="cut and filled",
            ),
            OpExample(
                (np.array([3, 1, 2]),),
                {"inputdimensions": [3]},
                (np.float32([[3.0, 1.0, 2.0]]),),
                n_bits=2,
                tolerance=0.0,
                name="a vector",
            ),
        ),
    )
