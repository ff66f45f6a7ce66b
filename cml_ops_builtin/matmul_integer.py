"""MatMulInteger: the matrix product of two integer matrices, each less its zero point, as int32.

Under encryption one factor is encrypted. Its integers and those of the clear factor are taken
exactly as they are, at no lookup; the accumulator has their widths and about log2(K) bits.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.integer_products import (
    matmul_integers,
    shifted,
    spread_columns,
    spread_rows,
)
from cml_ops_builtin._shared.quantized_tensors import clear_parameters, propose_integers


def matmul_integer(a, b, a_zero_point=None, b_zero_point=None):
    left = shifted(None, a, spread_rows(a_zero_point, a))
    right = shifted(None, b, spread_columns(b_zero_point, b))
    return (np.asarray(matmul_integers(None, left, right).astype(np.int32)),)


class QuantizedMatMulInteger:
    """MatMulInteger with one encrypted factor."""

    def __call__(self, ctx: LoweringContext, a, b, a_zero_point=None, b_zero_point=None):
        clear_parameters(ctx, a_zero_point=a_zero_point, b_zero_point=b_zero_point)
        if isinstance(a, EncryptedTensor) and isinstance(b, EncryptedTensor):
            ctx.refuse("both factors are encrypted", "One of them must be a constant of the model.")
        left = shifted(ctx, a, spread_rows(a_zero_point, a))
        right = shifted(ctx, b, spread_columns(b_zero_point, b))
        return (attrs.evolve(matmul_integers(ctx, left, right), dtype=np.dtype(np.int32)),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for model inputs as the integers that they are."""
    propose_integers(recorder, 0, inputs[0])
    propose_integers(recorder, 1, inputs[1])


@hookimpl
def cml_op():
    a = np.array([[0, 3, 7], [5, 2, 6]], dtype=np.uint8)
    b = np.array([[4, -9], [100, 0], [-2, 55]], dtype=np.int8)
    exact = {"tolerance": 0.0, "n_bits": 2}
    rows = np.array([[1], [2]], dtype=np.uint8)
    columns = np.array([-1, 3], dtype=np.int8)
    return OpPlugin(
        schema=OpSchema("MatMulInteger", since_versions=(10,), kind=OpKind.LINEAR),
        numpy_op=matmul_integer,
        quantized_op=QuantizedMatMulInteger(),
        calibration_hook=propose_grid,
        examples=(
            OpExample((a, b, np.uint8(3), np.int8(1)), name="zero points", **exact),
            OpExample((a, b), name="none", **exact),
            OpExample((a, b, rows, columns), name="a zero point for each row and column", **exact),
            OpExample((b.T, a.T), encrypted=(1,), name="clear on the left", **exact),
            OpExample((a[0], b), name="a vector", **exact),
            OpExample((a, np.stack([b, -b])), name="a stack of clear matrices", **exact),
        ),
        restrictions="one factor and the zero points must be clear",
    )
