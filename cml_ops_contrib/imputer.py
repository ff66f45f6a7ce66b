"""Imputer: what equals one value, or is NaN, replaced by another, or by one for each feature.

Under encryption it costs nothing: it composes onto the decode. What the grid of an encrypted
tensor does not tell from the value is replaced too. Encrypted inputs are never NaN.
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
    elementwise,
    hookimpl,
)
from cml_ops_contrib._shared.per_feature import laid_out

#: Most integers of all channels that a value is searched among.
_TABLE = 2**20


def _values(
    x,
    imputed_value_floats,
    imputed_value_int64s,
    replaced_value_float,
    replaced_value_int64,
):
    """What is replaced, and by what, both in the type of x."""
    if imputed_value_floats and imputed_value_int64s:
        expected = "no integers beside imputed_value_floats"
        raise AttributeValueError("imputed_value_int64s", imputed_value_int64s, expected)
    is_float = x.dtype.kind == "f"
    name = "imputed_value_floats" if is_float else "imputed_value_int64s"
    imputed = imputed_value_floats if is_float else imputed_value_int64s
    replaced = replaced_value_float if is_float else replaced_value_int64
    return np.float32(replaced) if is_float else replaced, laid_out(name, imputed or (), x, x.dtype)


def _replaced(x, old, new):
    # Floats are compared in the precision of the attribute.
    known = np.asarray(x).astype(np.float32) if x.dtype.kind == "f" else x
    return np.where(np.isnan(known) if old != old else known == old, new, x)


def imputer(x, **attributes):
    return (_replaced(x, *_values(x, **attributes)).astype(x.dtype, copy=False),)


class QuantizedImputer:
    """Imputer of an encrypted tensor."""

    def __call__(self, ctx: LoweringContext, x, **attributes):
        old, new = _values(x, **attributes)
        old = _on_grid(x, old)
        return (elementwise(ctx, lambda x, new: _replaced(x, old, new), x, new),)


def _on_grid(x, value):
    """What a value becomes on the grid of an encrypted tensor; itself if it is beyond."""
    interval = x.register.interval
    q = np.arange(interval.low, interval.high + 1)
    if len(q) * x.decode.channels > _TABLE:
        return value
    known = x.typed(q[np.newaxis], np.arange(x.decode.channels)[:, np.newaxis])
    levels = np.unique(known[np.isfinite(known)])
    if len(levels) < 2:
        return value
    place = int(np.abs(levels - value).argmin())
    half = np.diff(levels)[max(place - 1, 0) : place + 1].max() / 2
    return type(value)(levels[place]) if abs(levels[place] - value) <= half else value


@hookimpl
def cml_op():
    x = np.array([[0.0, -1.0], [2.0, 0.0]], dtype=np.float32)
    integers = np.array([[-1, 2], [3, -1]])
    return OpPlugin(
        schema=OpSchema(
            "Imputer", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=imputer,
        quantized_op=QuantizedImputer(),
        examples=(
            OpExample(
                (x,),
                {"imputed_value_floats": [1.0, -2.0], "replaced_value_float": 0.0},
                n_bits=3,
                name="features of their own",
            ),
            OpExample(
                (np.float32([[1.0, np.nan]]),),
                {"imputed_value_floats": [0.5], "replaced_value_float": float("nan")},
                encrypted=(),
                name="NaN",
            ),
            OpExample(
                (integers,),
                {"imputed_value_int64s": [7], "replaced_value_int64": -1},
                tolerance=0.0,
                n_bits=3,
                name="integers",
            ),
        ),
        restrictions=(
            "NaN is replaced before encryption or not at all; what the grid does not tell from the "
            "replaced value is replaced too"
        ),
    )
