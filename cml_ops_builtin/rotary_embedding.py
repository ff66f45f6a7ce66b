"""RotaryEmbedding: turns pairs of a token's features by angles that its position gives.

Under encryption each token is multiplied by the clear matrix of its rotation, which costs no
lookup; cosines, sines and positions must be clear.
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
    hookimpl,
    matmul,
    move,
)
from cml_ops_builtin._shared.precision import widened


def rotary_embedding(
    x,
    cos_cache,
    sin_cache,
    position_ids=None,
    *,
    interleaved,
    rotary_embedding_dim,
    num_heads=None,
):
    tokens = widened(_by_token(x, num_heads))
    size = _turned_size(tokens.shape[-1], rotary_embedding_dim)
    cos, sin = (
        widened(_angles(cache, position_ids, size))[:, :, np.newaxis]
        for cache in (cos_cache, sin_cache)
    )
    even, odd = _pairs(size, interleaved)
    result = tokens.copy()
    result[..., even] = cos * tokens[..., even] - sin * tokens[..., odd]
    result[..., odd] = sin * tokens[..., even] + cos * tokens[..., odd]
    return (_as_given(result, x.ndim).astype(x.dtype, copy=False),)


def _by_token(x, num_heads):
    """Bring x to (batch, tokens, heads, size)."""
    if x.ndim == 4:
        return x.swapaxes(1, 2)
    if x.ndim != 3:
        raise AttributeValueError("shape of X", tuple(x.shape), "3 or 4 axes")
    if not num_heads or x.shape[2] % num_heads:
        raise AttributeValueError("num_heads", num_heads, f"a divisor of {x.shape[2]}")
    return x.reshape(*x.shape[:2], num_heads, x.shape[2] // num_heads)


def _as_given(tokens, ndim):
    if ndim == 4:
        return tokens.swapaxes(1, 2)
    return tokens.reshape(*tokens.shape[:2], tokens.shape[2] * tokens.shape[3])


def _turned_size(head_size, rotary_embedding_dim):
    size = rotary_embedding_dim or head_size
    if size < 0 or size % 2 or size > head_size:
        expected = f"an even number up to the {head_size} features of a head"
        raise AttributeValueError("rotary_embedding_dim", size, expected)
    return size


def _angles(cache, position_ids, size):
    """Cosines or sines of each token: (batch, tokens, size / 2)."""
    if cache.shape[-1] != size // 2:
        raise AttributeValueError("shape of a cache", tuple(cache.shape), f"{size // 2} at its end")
    if position_ids is None:
        return cache
    if position_ids.size and not 0 <= position_ids.min() <= position_ids.max() < len(cache):
        raise AttributeValueError("position_ids", position_ids.max(), f"less than {len(cache)}")
    return cache[position_ids]


def _pairs(size, interleaved):
    """Which features are turned with which others."""
    if interleaved:
        return slice(0, size, 2), slice(1, size, 2)
    return slice(0, size // 2), slice(size // 2, size)


class QuantizedRotaryEmbedding:
    """A product with the matrix of each token's rotation."""

    def __call__(
        self, ctx: LoweringContext, x, cos_cache, sin_cache, position_ids=None, **attributes
    ):
        if any(isinstance(t, EncryptedTensor) for t in (cos_cache, sin_cache, position_ids)):
            ctx.refuse("a cache or position_ids is encrypted", "They must be clear.")
        num_heads = attributes.get("num_heads")
        (tokens,) = move(ctx, lambda a: _by_token(a, num_heads), [x])
        batch, count, _, size = tokens.shape
        # Row i of a token's matrix is what becomes of feature i.
        unit = np.broadcast_to(np.eye(size), (batch, count, size, size)).swapaxes(1, 2)
        cos, sin = (widened(cache).astype(np.float64) for cache in (cos_cache, sin_cache))
        attributes = {**attributes, "num_heads": None}
        (turned,) = rotary_embedding(unit, cos, sin, position_ids, **attributes)
        result = matmul(ctx, tokens, turned.swapaxes(1, 2))
        return (move(ctx, lambda a: _as_given(a, x.ndim), [result])[0],)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    angle = rng.uniform(-3, 3, size=(5, 2))
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    places = np.int64([[4, 0, 1]])
    x = rng.uniform(-1, 1, size=(1, 2, 3, 4)).astype(np.float32)
    flat = rng.uniform(-1, 1, size=(1, 3, 8)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("RotaryEmbedding", since_versions=(23,), kind=OpKind.LINEAR),
        numpy_op=rotary_embedding,
        quantized_op=QuantizedRotaryEmbedding(),
        examples=(
            OpExample((x, cos, sin, places), name="halves"),
            OpExample((x, cos, sin, places), {"interleaved": 1}, name="interleaved"),
            OpExample((x, cos[places], sin[places]), name="caches by token"),
            OpExample((flat, cos, sin, places), {"num_heads": 2}, name="three axes"),
            OpExample(
                (x, cos[:, :1], sin[:, :1], places), {"rotary_embedding_dim": 2}, name="partly"
            ),
            OpExample(
                (*(a.astype(np.float16) for a in (x, cos, sin)), places),
                encrypted=(),
                name="float16",
            ),
        ),
        restrictions="caches and position_ids must be clear",
    )
