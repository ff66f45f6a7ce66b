"""ZipMap: each sample's scores as a map from the labels, an array of dicts.

In float only: the client computes it after decryption.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.lookup_table import only_one
from cml_ops_contrib._shared.maps import maps_of


def zip_map(x, *, classlabels_int64s, classlabels_strings):
    lists = {"classlabels_int64s": classlabels_int64s, "classlabels_strings": classlabels_strings}
    labels = only_one("labels", lists).tolist()
    if x.ndim not in (1, 2) or x.shape[-1] != len(labels):
        expected = f"({len(labels)},) or (N, {len(labels)}), as there are so many labels"
        raise AttributeValueError("shape of X", x.shape, expected)
    return (maps_of(labels, x.reshape(-1, len(labels)).tolist()),)


@hookimpl
def cml_op():
    x = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ZipMap", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=zip_map,
        tail=True,
        examples=(
            OpExample(
                (x,),
                {"classlabels_strings": ["no", "yes"]},
                (np.array([{"no": 0.25, "yes": 0.75}, {"no": 1.0, "yes": 0.0}]),),
                encrypted=(),
                name="strings",
            ),
            OpExample(
                (x[0],),
                {"classlabels_int64s": [3, 5]},
                (np.array([{3: 0.25, 5: 0.75}]),),
                encrypted=(),
                name="integers, a vector",
            ),
        ),
        restrictions="in float only: after decryption",
    )
