"""Scaler: each feature shifted and scaled, (x - offset) * scale.

Under encryption it costs nothing: it composes onto the decode, with constants for each feature.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.per_feature import laid_out, of_dtype


def _constants(x, offset, scale):
    if not scale or len(scale) != len(offset or ()):
        expected = f"as many as there are values of offset, {len(offset or ())}, and not none"
        raise AttributeValueError("number of scale", len(scale or ()), expected)
    named = {"offset": offset, "scale": scale}
    return tuple(laid_out(name, values, x, np.float32) for name, values in named.items())


def _scaled(x, offset, scale):
    return (x - offset) * scale


def scaler(x, *, offset, scale):
    # Integers that are not exact in float32 are rounded before they are shifted.
    wide = x if x.dtype == np.float64 else x.astype(np.float32)
    return (_scaled(wide, *_constants(x, offset, scale)).astype(np.float32),)


class QuantizedScaler:
    """Scaler of an encrypted tensor."""

    def __call__(self, ctx: LoweringContext, x, *, offset, scale):
        return (of_dtype(np.float32, ctx, _scaled, x, *_constants(x, offset, scale)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, 0.25]], dtype=np.float32)
    of_each = {"offset": [1.0, -5.0, 0.5], "scale": [0.5, 1.0, -2.0]}
    return OpPlugin(
        schema=OpSchema(
            "Scaler", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=scaler,
        quantized_op=QuantizedScaler(),
        examples=(
            OpExample((x,), of_each, tolerance=0.12, name="features of their own"),
            OpExample((x[:, :1],), {"offset": [2.0], "scale": [-1.5]}, name="one for all"),
            OpExample(
                (np.array([1, -7, 4]),),
                of_each,
                (np.float32([0.0, -2.0, -7.0]),),
                lookups=0,
                tolerance=0.01,
                name="a vector of integers",
            ),
        ),
    )
