"""MatMulNBits: a product with weights of a few bits each, which have scales per block."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    UNKNOWN,
    AttributeValueError,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    hookimpl,
    matmul,
)


def matmul_n_bits(a, b, scales, zero_points=None, g_idx=None, bias=None, **attributes):
    """Multiply by the weights that the integers stand for."""
    y = a @ weights(b, scales, zero_points, g_idx, **attributes).astype(a.dtype, copy=False)
    return (y if bias is None else y + bias,)


def prepared_matmul_n_bits(a, b, scales, zero_points=None, g_idx=None, bias=None, **attributes):
    """Unpack weights once."""
    if any(tensor is UNKNOWN for tensor in (b, scales, zero_points, g_idx)):
        return None
    weight = weights(b, scales, zero_points, g_idx, **attributes)

    def run(a, b, scales, zero_points=None, g_idx=None, bias=None):
        y = a @ weight.astype(a.dtype, copy=False)
        return (y if bias is None else y + bias,)

    return run


def quantized_matmul_n_bits(
    ctx, a, b, scales, zero_points=None, g_idx=None, bias=None, **attributes
):
    """Multiply by clear weights, which get the width that the user chose."""
    y = matmul(ctx, a, weights(b, scales, zero_points, g_idx, **attributes))
    return (y if bias is None else add(ctx, y, bias),)


def weights(b, scales, zero_points, g_idx, *, K, N, bits, block_size, weight_prepacked, **_):
    """Return the weights, of shape (K, N)."""
    if weight_prepacked:
        raise AttributeValueError("weight_prepacked", weight_prepacked, "0")
    if g_idx is not None:
        raise AttributeValueError("g_idx", "a tensor", "no group indices, which are deprecated")
    blocks = -(-K // block_size)
    q = unpacked(b.reshape(N, blocks, -1), bits)[..., :block_size]
    if zero_points is None:
        zero = 2 ** (bits - 1)
    elif zero_points.dtype == np.uint8:
        zero = unpacked(zero_points.reshape(N, -1), bits)[:, :blocks, None]
    else:
        zero = zero_points.reshape(N, blocks, 1)
    w = (q - zero) * scales.reshape(N, blocks, 1)
    return np.ascontiguousarray(w.reshape(N, -1)[:, :K].T)


def unpacked(packed, bits):
    """Return the numbers in bytes along the last axis, the lowest bits of each byte first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    numbers = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    return numbers.reshape(*packed.shape[:-1], -1).astype(np.float32)


@hookimpl
def cml_op():
    """MatMulNBits of com.microsoft, as onnxruntime's quantizer of language models makes it."""
    a = np.float32([[1, -2, 0.5, *[0] * 14]])
    b = np.zeros((2, 2, 8), np.uint8) + 0x88
    b[:, 0, :2] = [[0x9A, 0x87], [0x78, 0x88]]
    scales = np.float32([[0.5, 1], [1, 1]])
    attributes = {"K": 17, "N": 2, "bits": 4, "block_size": 16}
    return OpPlugin(
        schema=OpSchema(
            "MatMulNBits",
            (1,),
            OpKind.LINEAR,
            domain="com.microsoft",
            attribute_defaults={"accuracy_level": 0, "bits": 4, "weight_prepacked": 0},
        ),
        numpy_op=matmul_n_bits,
        prepare=prepared_matmul_n_bits,
        quantized_op=quantized_matmul_n_bits,
        examples=(OpExample((a, b, scales), attributes, (np.float32([[-0.25, 2]]),), lookups=0),),
        restrictions="only the first factor may be encrypted",
    )
