"""DictVectorizer: the values of a map in the order of a vocabulary, zero where it lacks a key.

In float only, as maps cannot be encrypted. Values that are Python floats are float32, as in the
type `map(string, float)`, which the graph of a model does not keep.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.lookup_table import only_one
from cml_ops_contrib._shared.maps import as_maps


def dict_vectorizer(x, *, int64_vocabulary, string_vocabulary):
    lists = {"int64_vocabulary": int64_vocabulary, "string_vocabulary": string_vocabulary}
    keys = only_one("vocabulary", lists).tolist()
    maps = as_maps(x)
    values = [value for one in maps for value in one.values()]
    if any(isinstance(value, str) for value in values):
        missing, dtype = "", object
    elif any(isinstance(value, np.float64) for value in values):
        missing, dtype = 0, np.float64
    else:
        whole = all(isinstance(value, int | np.integer) for value in values)
        missing, dtype = 0, np.int64 if values and whole else np.float32
    rows = [[one.get(key, missing) for key in keys] for one in maps]
    return (np.array(rows, dtype=dtype).reshape(len(maps), len(keys)),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("DictVectorizer", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=dict_vectorizer,
        examples=(
            OpExample(
                (np.array({"a": 0.5, "c": 2.0}, dtype=object),),
                {"string_vocabulary": ["c", "b", "a"]},
                (np.float32([[2.0, 0.0, 0.5]]),),
                encrypted=(),
                name="strings to floats",
            ),
            OpExample(
                (np.array([{3: "x"}, {5: "y", 3: "z"}], dtype=object),),
                {"int64_vocabulary": [5, 3]},
                (np.array([["", "x"], ["y", "z"]], dtype=object),),
                encrypted=(),
                name="integers to strings, two maps",
            ),
        ),
        restrictions="in float only: before encryption",
    )
