"""Hardmax of the input seen as a matrix: 1 for the first of the largest elements, 0 for the others.

Earlier revisions: all axes from `axis` on are one. Computed by the client after decryption.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.flattening import on_matrix
from cml_ops_builtin._shared.softmaxes import hardmax_along

hardmax_1 = on_matrix(hardmax_along)


@hookimpl
def cml_op():
    odds = np.array([[[1, 2], [3, 4], [5, 1]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Hardmax", since_versions=(1, 11)),
        numpy_op=hardmax_1,
        tail=True,
        examples=(
            OpExample(
                (np.log(odds),),
                outputs=((odds == 5).astype(np.float32),),
                name="all axes but the first",
            ),
            OpExample((np.log(odds),), {"axis": -1}, name="last axis"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
