"""OneHotEncoder: a new last axis with a place for each category, one where an element is of it.

Under encryption it costs nothing: each place is a function of its element, so a decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    reshape,
)
from cml_ops_contrib._shared.lookup_table import Table, only_one, propose_cuts, propose_keys


def _places(x, cats_int64s, cats_strings):
    """A table of the places of categories, -1 for others; the last of equal ones counts."""
    lists = {"cats_int64s": cats_int64s, "cats_strings": cats_strings}
    categories = only_one("categories", lists)
    if (categories.dtype.kind == "O") != (x.dtype.kind == "O"):
        kind = "strings" if categories.dtype.kind == "O" else "numbers"
        raise AttributeValueError("type of X", str(x.dtype), f"{kind}, as the categories are")
    return Table(categories[::-1], np.arange(len(categories))[::-1], -1), len(categories)


def one_hot_encoder(x, *, cats_int64s, cats_strings, zeros):
    table, count = _places(x, cats_int64s, cats_strings)
    place = table(x)
    if not zeros and (place < 0).any():
        unknown = x[place < 0].reshape(-1)[:3].tolist()
        raise AttributeValueError("X", unknown, "known categories only, as zeros is 0")
    return ((place[..., np.newaxis] == np.arange(count)).astype(np.float32),)


class QuantizedOneHotEncoder:
    """OneHotEncoder of encrypted numbers."""

    def __call__(self, ctx: LoweringContext, x, *, cats_int64s, cats_strings, zeros):
        table, count = _places(x, cats_int64s, cats_strings)

        def is_at(value, place):
            # In the model's precision first, so that 2.9999999999999996 is 3.
            return (table(np.asarray(value).astype(x.dtype)) == place).astype(np.float32)

        spread = reshape(ctx, x, (*x.shape, 1))
        return (elementwise(ctx, is_at, spread, np.arange(count)),)


def propose_categories(recorder, inputs, outputs, attributes):
    (x,) = inputs
    cats = np.asarray(attributes["cats_int64s"] or (), dtype=np.int64)
    if x.dtype.kind in "iu":
        propose_keys(recorder, x, cats)
    elif x.dtype.kind == "f":
        # What is cut towards zero to c: from c on if c is positive, else above c - 1, and so on.
        before, after = (
            np.nextafter((cats + step).astype(x.dtype), -np.inf, dtype=x.dtype) for step in (0, 1)
        )
        ends = np.where(cats > 0, before, cats - 1), np.where(cats < 0, cats, after)
        propose_cuts(recorder, x, np.concatenate(ends))


@hookimpl
def cml_op():
    x = np.array([[4, 1], [7, 4]])
    return OpPlugin(
        schema=OpSchema("OneHotEncoder", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=one_hot_encoder,
        quantized_op=QuantizedOneHotEncoder(),
        calibration_hook=propose_categories,
        tail=True,
        examples=(
            OpExample((x,), {"cats_int64s": [1, 4]}, tolerance=0.0, n_bits=3, name="integers"),
            OpExample(
                (np.float32([1.0, 3.0]),),
                {"cats_int64s": [3, 1, 2]},
                (np.float32([[0, 1, 0], [1, 0, 0]]),),
                tolerance=0.0,
                n_bits=2,
                name="a vector of floats",
            ),
            OpExample(
                (np.array([["b", "x"]], dtype=object),),
                {"cats_strings": ["a", "b"]},
                (np.float32([[[0, 1], [0, 0]]]),),
                encrypted=(),
                name="strings",
            ),
        ),
        restrictions=(
            "of numbers; unknown categories are zeros whatever `zeros` says; where a model asks "
            "more of its input, categories must be on the input's grid"
        ),
    )
