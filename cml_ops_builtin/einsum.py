"""Einsum: sums of products of any number of tensors, after an equation such as `bij,bjk->bik`.

Under encryption operands are multiplied pairwise as stacks of matrices, clear factors first. A
product with a clear factor costs no lookup; one of two encrypted operands costs about one lookup
for each of its terms, as MatMul does.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
    multiply,
    sum_,
)
from cml_ops_builtin._shared.equations import Equation
from cml_ops_builtin._shared.matrices import matrix_product, reshaped, transposed
from cml_ops_builtin._shared.precision import widened


def einsum(*operands, equation):
    Equation.parse(equation, [np.shape(x) for x in operands])
    dtype = operands[0].dtype
    wide = [widened(x) for x in operands]
    try:
        result = np.einsum(equation, *wide, optimize=len(wide) > 1)
    except ValueError as error:
        raise AttributeValueError("equation", equation, str(error)) from None
    return (np.array(result, dtype=dtype),)


class QuantizedEinsum:
    """Einsum, pair by pair."""

    def __call__(self, ctx: LoweringContext, *operands, equation):
        parsed = Equation.parse(equation, [x.shape for x in operands])
        shape = tuple(parsed.sizes[label] for label in parsed.output)
        if 0 in parsed.sizes.values():
            return (np.zeros(shape, dtype=operands[0].dtype),)
        parts = [
            _plain(ctx, x, labels, parsed.sizes)
            for x, labels in zip(operands, parsed.terms, strict=True)
        ]
        while len(parts) > 1:
            i, j = min(combinations(range(len(parts)), 2), key=lambda p: _effort(parts, *p))
            pair = [parts[i], parts[j]]
            parts = [part for k, part in enumerate(parts) if k not in (i, j)]
            wanted = set(parsed.output).union(*(labels for _, labels in parts))
            pair = [_without(ctx, x, labels, wanted, pair) for x, labels in pair]
            parts.append(_product(ctx, pair, wanted, parsed.sizes))
        x, labels = _without(ctx, *parts[0], set(parsed.output), parts)
        return (_moved(ctx, x, labels, parsed.output),)


def _plain(ctx, x, labels, sizes):
    """Leave one axis for each label: its diagonal; none where it is broadcast from size 1."""
    kept = list(dict.fromkeys(labels))
    if len(kept) < len(labels):
        numbers = {label: k for k, label in enumerate(kept)}
        places, result = [numbers[label] for label in labels], list(range(len(kept)))
        if isinstance(x, EncryptedTensor):
            (x,) = move(ctx, lambda a: np.einsum(a, places, result), [x])
        else:
            x = np.einsum(x, places, result)
    narrow = [label for label, size in zip(kept, x.shape, strict=True) if size < sizes[label]]
    if narrow:
        kept = [label for label in kept if label not in narrow]
        x = reshaped(ctx, x, tuple(sizes[label] for label in kept))
    return x, tuple(kept)


def _effort(parts, i, j):
    """Order of pairs: clear ones that share an axis, one clear, both encrypted."""
    encrypted = sum(isinstance(parts[k][0], EncryptedTensor) for k in (i, j))
    shared = bool(set(parts[i][1]) & set(parts[j][1]))
    return (encrypted == 0 and not shared, encrypted, not shared)


def _without(ctx, x, labels, wanted, parts):
    """Sum over axes that nothing else has."""
    often = [label for _, others in parts for label in others]
    gone = [
        axis for axis, label in enumerate(labels) if label not in wanted and often.count(label) < 2
    ]
    if not gone:
        return x, labels
    kept = tuple(label for axis, label in enumerate(labels) if axis not in gone)
    if isinstance(x, EncryptedTensor):
        return sum_(ctx, x, gone, keepdims=False), kept
    return x.sum(axis=tuple(gone), dtype=x.dtype), kept


def _product(ctx, pair, wanted, sizes):
    """Multiply two operands as stacks of matrices, the encrypted one on the left."""
    (x, of_x), (y, of_y) = sorted(pair, key=lambda part: isinstance(part[0], np.ndarray))
    stack = [label for label in of_x if label in of_y and label in wanted]
    inner = [label for label in of_x if label in of_y and label not in wanted]
    rows = [label for label in of_x if label not in of_y]
    columns = [label for label in of_y if label not in of_x]
    result = (*stack, *rows, *columns)

    def laid_out(tensor, labels, *groups):
        order = [label for group in groups for label in group]
        lengths = [math.prod(sizes[label] for label in group) for group in groups]
        lengths = lengths if stack else lengths[1:]
        return reshaped(ctx, _moved(ctx, tensor, labels, order), tuple(lengths))

    if isinstance(x, np.ndarray):
        letters = {label: k for k, label in enumerate({*of_x, *of_y})}
        axes = [[letters[label] for label in labels] for labels in (of_x, of_y, result)]
        wide = [t.astype(np.float64) if t.dtype.kind == "f" else t for t in (x, y)]
        return np.einsum(wide[0], axes[0], wide[1], axes[1], axes[2]), result
    left = laid_out(x, of_x, stack, rows, inner)
    right = laid_out(y, of_y, stack, inner, columns)
    both = isinstance(y, EncryptedTensor)
    outer = left.shape[-2] > 1 and right.shape[-1] > 1
    if not inner and not (both and outer):
        product = multiply(ctx, left, right)
    else:
        product = matrix_product(ctx, left, right)
    return reshaped(ctx, product, tuple(sizes[label] for label in result)), result


def _moved(ctx, x, labels, order):
    return transposed(ctx, x, tuple(labels.index(label) for label in order))


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    def example(equation, *operands, encrypted=(0,), **settings):
        return OpExample(
            operands, {"equation": equation}, encrypted=encrypted, name=equation, **settings
        )

    square = np.float32([[1.0, -0.5], [0.75, 0.5]])
    turned = np.float32([[1.0, -0.75], [-0.5, -0.75]])
    return OpPlugin(
        schema=OpSchema("Einsum", since_versions=(12, 28), kind=OpKind.LINEAR),
        numpy_op=einsum,
        quantized_op=QuantizedEinsum(),
        examples=(
            example("ij,jk->ik", uniform(2, 3), uniform(3, 2)),
            example("ij, jk", uniform(2, 3), uniform(3, 2), encrypted=(1,)),
            example("bij,bkj->bik", uniform(1, 2, 3), uniform(1, 2, 3)),
            example("...i,...i->...", uniform(2, 3), uniform(3)),
            example("B...a,aC->BC...", uniform(1, 2, 3), uniform(3, 2)),
            example("iji->ji", uniform(2, 2, 2)),
            example("ii", uniform(3, 3)),
            example("ij->", uniform(2, 2)),
            example("i,j->ij", uniform(2), uniform(3)),
            example(",i->i", np.float32(0.5), uniform(3), encrypted=(1,)),
            example("i,ij,j->", uniform(2), uniform(2, 3), uniform(3), encrypted=(1,)),
            example("ij,jk->ki", square, square, encrypted=(0, 1), n_bits=3),
            example("bi,bi->b", square, turned, encrypted=(0, 1), n_bits=3),
            example("i,i->i", square[0], square[1], encrypted=(0, 1), n_bits=3),
            example("ij,j,j->i", turned, square[0], square[1], encrypted=(0, 1), n_bits=3),
            OpExample(
                (np.arange(6).reshape(2, 3),), {"equation": "ji"}, encrypted=(), name="int64"
            ),
            OpExample(
                (np.float16([[1, 2], [3, 4]]), np.float16([0.5, 1])),
                {"equation": "ij,j->i"},
                encrypted=(),
                name="float16",
            ),
        ),
    )
