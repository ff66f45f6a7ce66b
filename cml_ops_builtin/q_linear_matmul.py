"""QLinearMatMul: the product of two quantized matrices, quantized to the output's scale.

y = saturate(round((a - a_zero_point) @ (b - b_zero_point) * a_scale * b_scale / y_scale)
+ y_zero_point), ties to even. Under encryption one factor is encrypted; all integers are exactly
the model's own: no lookup for the product, one per element for the rounding to the output's grid.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.integer_products import (
    matmul_integers,
    shifted,
    spread_columns,
    spread_rows,
)
from cml_ops_builtin._shared.quantized_tensors import (
    clear_parameters,
    integer_range,
    kept_integers,
    propose_integers,
    requantized,
)


def q_linear_matmul(a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point):
    left = shifted(None, a, spread_rows(a_zero_point, a))
    right = shifted(None, b, spread_columns(b_zero_point, b))
    scale = _scale(a, a_scale, b, b_scale, y_scale)
    product = matmul_integers(None, left, right)
    return (requantized(product, scale, _single(y_zero_point), y_zero_point.dtype),)


def _single(parameter):
    """Return a parameter of the output, which is one number."""
    if parameter.size != 1:
        raise AttributeValueError("y_scale or y_zero_point", parameter.shape, "one number")
    return parameter.reshape(())


def _scale(a, a_scale, b, b_scale, y_scale):
    """Real value of one step of the product, in steps of the output."""
    rows = spread_rows(a_scale, a).astype(np.float32)
    columns = spread_columns(b_scale, b).astype(np.float32)
    if b.ndim == 1 and rows.ndim:
        rows = rows[..., 0]
    if a.ndim == 1 and columns.ndim:
        columns = columns[..., 0, :]
    return rows * columns / _single(y_scale).astype(np.float32)


class QuantizedQLinearMatMul:
    """QLinearMatMul with one encrypted factor."""

    def __call__(
        self,
        ctx: LoweringContext,
        a,
        a_scale,
        a_zero_point,
        b,
        b_scale,
        b_zero_point,
        y_scale,
        y_zero_point,
    ):
        clear_parameters(ctx, a_scale=a_scale, a_zero_point=a_zero_point)
        clear_parameters(ctx, b_scale=b_scale, b_zero_point=b_zero_point)
        clear_parameters(ctx, y_scale=y_scale, y_zero_point=y_zero_point)
        if isinstance(a, EncryptedTensor) and isinstance(b, EncryptedTensor):
            ctx.refuse("both factors are encrypted", "One of them must be a constant of the model.")
        dtype = y_zero_point.dtype
        if not all(integer_range(kind) for kind in (a.dtype, b.dtype, dtype)):
            ctx.refuse("its tensors are of float8 types", "Quantize the model to int8 or uint8.")
        left = shifted(ctx, a, spread_rows(a_zero_point, a))
        right = shifted(ctx, b, spread_columns(b_zero_point, b))
        product = matmul_integers(ctx, left, right)
        zero = _single(y_zero_point)

        def function(values, scale):
            return requantized(values, scale.astype(np.float32), zero, dtype)

        y = elementwise(ctx, function, product, _scale(a, a_scale, b, b_scale, y_scale))
        return (kept_integers(y, y_zero_point.dtype),)


def propose_grid(recorder, inputs, outputs, attributes):
    """Ask for model inputs as the integers that they are."""
    propose_integers(recorder, 0, inputs[0])
    propose_integers(recorder, 3, inputs[3])


@hookimpl
def cml_op():
    a = np.array([[0, 3, 7], [5, 2, 6]], dtype=np.uint8)
    b = np.array([[2, -3], [3, 0], [-1, 1]], dtype=np.int8)
    of_a, of_b = (np.float32(0.25), np.uint8(3)), (np.float32(0.1), np.int8(0))
    of_y = np.float32(0.14), np.int8(-2)
    rows = np.float32([[0.25], [0.5]]), np.uint8([[3], [2]])
    columns = np.float32([0.1, 0.2]), np.int8([0, 1])
    exact = {"tolerance": 0.0, "n_bits": 5}
    return OpPlugin(
        schema=OpSchema("QLinearMatMul", since_versions=(10, 21), kind=OpKind.LINEAR),
        numpy_op=q_linear_matmul,
        quantized_op=QuantizedQLinearMatMul(),
        calibration_hook=propose_grid,
        examples=(
            OpExample((a, *of_a, b, *of_b, *of_y), name="one scale for each tensor", **exact),
            OpExample(
                (a, *rows, b, *columns, *of_y),
                opset=10,
                name="a scale for each row and column",
                **exact,
            ),
            OpExample(
                (b.T, *of_b, a.T, *of_a, *of_y),
                encrypted=(3,),
                name="clear on the left",
                **exact,
            ),
            OpExample(
                (a[0], *of_a, np.stack([b, -b]), *of_b, np.float32(0.2), np.uint8(8)),
                name="a vector and a stack of clear matrices",
                **exact,
            ),
            OpExample(
                (a, *of_a, b, *of_b, np.float32(0.005), np.int8(100)),
                encrypted=(),
                name="results that do not fit",
            ),
        ),
        restrictions="one factor, scales and zero points must be clear; no float8 types",
    )
