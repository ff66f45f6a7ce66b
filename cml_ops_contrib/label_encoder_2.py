"""LabelEncoder of ai.onnx.ml 2 and 3: keys and values are lists, and NaN equals no key."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.lookup_table import Table, only_one, propose_keys, quantized_by


def _table(*, default_int64, default_float, default_string, **lists):
    keys = only_one("keys", {k: v for k, v in lists.items() if k.startswith("keys")})
    values = only_one("values", {k: v for k, v in lists.items() if k.startswith("values")})
    default = {"i": default_int64, "f": default_float, "O": default_string}[values.dtype.kind]
    return Table(keys, values, default)


def label_encoder_2(x, **attributes):
    table = _table(**attributes)
    y = table.checked(x)
    return (np.where(x == x, y, table.default),)


class QuantizedLabelEncoder2:
    """LabelEncoder from encrypted numbers to numbers."""

    def __call__(self, ctx: LoweringContext, x, **attributes):
        return quantized_by(ctx, _table(**attributes), x)


def propose_cuts(recorder, inputs, outputs, attributes):
    propose_keys(recorder, inputs[0], _table(**attributes).keys)


@hookimpl
def cml_op():
    integers = np.array([[3, 0, 7], [1, 3, 0]])
    lists = {"keys_int64s": [0, 3, 7], "values_int64s": [2, 1, 4], "default_int64": -1}
    return OpPlugin(
        schema=OpSchema(
            "LabelEncoder", since_versions=(2,), kind=OpKind.ELEMENTWISE, domain="ai.onnx.ml"
        ),
        numpy_op=label_encoder_2,
        quantized_op=QuantizedLabelEncoder2(),
        calibration_hook=propose_cuts,
        tail=True,
        examples=(
            OpExample((integers,), lists, tolerance=0.0, name="integers"),
            OpExample(
                (np.float32([0.5, 1.0, 0.5]),),
                {"keys_floats": [0.5, 2.0], "values_floats": [-1.5, 3.0], "default_float": 1.0},
                (np.float32([-1.5, 1.0, -1.5]),),
                n_bits=2,
                name="floats",
            ),
            OpExample(
                (np.array(["b", "x"], dtype=object),),
                {"keys_strings": ["a", "b"], "values_strings": ["A", "B"]},
                (np.array(["B", "_Unused"], dtype=object),),
                encrypted=(),
                name="strings",
            ),
        ),
        restrictions=(
            "from numbers to numbers; where a model asks more of its input than which keys it "
            "equals, keys must be on the input's grid"
        ),
    )
