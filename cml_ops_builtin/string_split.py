"""StringSplit: strings divided at a delimiter, the shorter results padded with empty strings.

Without a delimiter, strings are divided where there is white space, however much, and none is left
at their ends.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def string_split(x, *, delimiter, maxsplit):
    most = -1 if maxsplit is None else maxsplit
    texts = x.reshape(-1).tolist()
    if delimiter:
        parts = [text.split(delimiter, most) for text in texts]
    else:
        parts = [text.strip().split(None, most) for text in texts]
    counts = np.array([len(part) for part in parts], dtype=np.int64).reshape(x.shape)
    width = int(counts.max(initial=0))
    padded = [part + [""] * (width - len(part)) for part in parts]
    return np.array(padded, dtype=object).reshape(*x.shape, width), counts


@hookimpl
def cml_op():
    def texts(*values):
        return np.array(values, dtype=object)

    return OpPlugin(
        schema=OpSchema("StringSplit", since_versions=(20,)),
        numpy_op=string_split,
        examples=(
            OpExample(
                (texts("a,,b", "c"),),
                {"delimiter": ","},
                (texts(["a", "", "b"], ["c", "", ""]), np.array([3, 1])),
                encrypted=(),
                n_outputs=2,
                name="at commas",
            ),
            OpExample(
                (texts(["  to be  or not "], [""]),),
                {"maxsplit": 2},
                (texts([["to", "be", "or not"]], [["", "", ""]]), np.array([[3], [0]])),
                encrypted=(),
                n_outputs=2,
                name="at white space, twice at most",
            ),
        ),
    )
