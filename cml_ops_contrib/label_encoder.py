"""LabelEncoder: each element replaced by the value of the key that it equals.

Under encryption, from numbers to numbers, it is a decode.
"""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.lookup_table import Table, only_one, propose_keys, quantized_by


def _table(*, default_tensor, default_int64, default_float, default_string, **lists):
    keys = only_one("keys", {k: v for k, v in lists.items() if k.startswith("keys")})
    values = only_one("values", {k: v for k, v in lists.items() if k.startswith("values")})
    default = {"i": default_int64, "f": default_float, "O": default_string}[values.dtype.kind]
    if default_tensor is not None and default_tensor.size:
        default = default_tensor.reshape(-1)[0]
    return Table(keys, values, default)


def label_encoder(x, **attributes):
    return (_table(**attributes).checked(x),)


class QuantizedLabelEncoder:
    """LabelEncoder from encrypted numbers to numbers."""

    def __call__(self, ctx: LoweringContext, x, **attributes):
        return quantized_by(ctx, _table(**attributes), x)


def propose_cuts(recorder, inputs, outputs, attributes):
    propose_keys(recorder, inputs[0], _table(**attributes).keys)


@hookimpl
def cml_op():
    integers = np.array([[3, 0, 7], [1, 3, 0]])
    to_integers = {"keys_int64s": [0, 3, 7], "values_int64s": [2, 1, 4], "default_int64": -1}
    to_floats = {"keys_int64s": [0, 3, 7], "values_floats": [0.5, -1.0, 2.0]}
    return OpPlugin(
        schema=OpSchema(
            "LabelEncoder", since_versions=(4,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=label_encoder,
        quantized_op=QuantizedLabelEncoder(),
        calibration_hook=propose_cuts,
        tail=True,
        examples=(
            OpExample((integers,), to_integers, tolerance=0.0, lookups=0, name="integers"),
            OpExample((integers[0, :2],), to_floats, n_bits=2, name="integers to floats"),
            OpExample(
                (np.array([1.0, 2.0, np.nan]),),
                {
                    "keys_tensor": numpy_helper.from_array(np.array([2.0, np.nan])),
                    "values_tensor": numpy_helper.from_array(np.int16([4, 5])),
                    "default_tensor": numpy_helper.from_array(np.int16([-3])),
                },
                (np.array([-3, 4, 5], dtype=np.int16),),
                encrypted=(),
                name="tensors, NaN a key of its own",
            ),
            OpExample(
                (np.array(["b", "x"], dtype=object),),
                {"keys_strings": ["a", "b"], "values_int64s": [5, 6]},
                (np.array([6, -1]),),
                encrypted=(),
                name="strings to integers",
            ),
            OpExample(
                (integers[0],),
                {"keys_int64s": [7, 3], "values_strings": ["x", "y"]},
                (np.array(["y", "_Unused", "x"], dtype=object),),
                encrypted=(),
                name="integers to strings",
            ),
        ),
        restrictions=(
            "from numbers to numbers; where a model asks more of its input than which keys it "
            "equals, keys must be on the input's grid"
        ),
    )
