"""Max: the largest of any number of tensors, with broadcasting.

Under encryption operands on one register cost nothing, and each further register one lookup per
element, beside what brings both sides onto one scale.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    maximum,
)
from cml_ops_builtin._shared.variadic import fold_encrypted


def max_(*tensors):
    return (functools.reduce(np.maximum, tensors),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.5, -0.5, 0.25]], dtype=np.float32)
    z = np.array([[0.5], [1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Max", since_versions=(6, 8, 12, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=max_,
        quantized_op=ElementwiseQuantizedOp(max_, combine=fold_encrypted(np.maximum, maximum)),
        examples=(
            OpExample((x,), name="one operand"),
            OpExample((x, y, z), name="clear operands"),
            OpExample((x, y), encrypted=(0, 1), lookups=3, max_bits=6, name="both encrypted"),
            OpExample((x, z, y), encrypted=(0, 2), name="two encrypted and one clear"),
            OpExample((x, y, 2 * y), encrypted=(0, 1, 2), name="all encrypted"),
        ),
    )
