"""Attention inside the circuit."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import EncryptedTensor, LoweringContext, add, elementwise, move
from cml_ops_builtin._shared.attending import (
    Heads,
    allowed_and_bias,
    capped,
    check,
    joined,
    score_scale,
    softmax_or_zero,
    split,
    together,
)
from cml_ops_builtin._shared.masked_softmax import masked_softmax
from cml_ops_builtin._shared.matrices import matrix_product, reshaped, transposed

__all__ = ["QuantizedAttention"]


class QuantizedAttention:
    """Attention inside the circuit; Q, K, V and the cache may be encrypted or clear."""

    def __call__(
        self,
        ctx: LoweringContext,
        q,
        k,
        v,
        attn_mask=None,
        past_key=None,
        past_value=None,
        nonpad_kv_seqlen=None,
        *,
        softcap,
        qk_matmul_output_mode,
        n_outputs=4,
        scale=None,
        q_num_heads=None,
        kv_num_heads=None,
        softmax_precision=None,
        **masking,
    ):
        if isinstance(attn_mask, EncryptedTensor) or isinstance(nonpad_kv_seqlen, EncryptedTensor):
            ctx.refuse("a mask is encrypted", "attn_mask and nonpad_kv_seqlen must be constant.")
        heads = Heads.of(q, k, q_num_heads, kv_num_heads)
        check(past_key, past_value, qk_matmul_output_mode, softmax_precision)
        dtype, flat = q.dtype, q.ndim == 3
        q = _moved(ctx, lambda a: split(a, heads.queries), q)
        keys = _cached(ctx, past_key, _moved(ctx, lambda a: split(a, heads.keys), k))
        values = _cached(ctx, past_value, _moved(ctx, lambda a: split(a, heads.keys), v))
        lengths = [part.shape[2] for part in keys]
        shape = (*q.shape[:3], sum(lengths))
        past = None if past_key is None else past_key.shape[2]
        allowed, bias = allowed_and_bias(shape, past, attn_mask, nonpad_kv_seqlen, **masking)
        # Queries of all heads that share a key are rows of one product: no key is repeated.
        grouped = _moved(ctx, lambda a: together(a, heads.keys), q)
        open_ = allowed.reshape(grouped.shape[:3] + shape[3:])
        stops = np.cumsum(lengths)
        products = [
            matrix_product(
                ctx, grouped, transposed(ctx, part), terms=open_[..., np.newaxis, e - n : e]
            )
            for part, e, n in zip(keys, stops, lengths, strict=True)
        ]
        scores = reshaped(ctx, _concatenated(ctx, products, -1), shape)
        factor = float(score_scale(scale, q.shape[-1]))
        scores = _each(ctx, lambda s: s * factor, scores)
        soft = _each(ctx, lambda s: capped(s, softcap), scores) if softcap > 0 else scores
        masked = soft if not bias.any() else _each(ctx, np.add, soft, bias.astype(np.float64))
        if isinstance(masked, EncryptedTensor):
            weights = masked_softmax(ctx, masked, allowed)
        else:
            weights = softmax_or_zero(np.where(allowed, masked, -np.inf))
        if ctx.n_outputs > 3 and qk_matmul_output_mode == 2 and not allowed.all():
            ctx.refuse("the scores asked for are infinite where a mask excludes them")
        y = self._weighted(ctx, weights, values, lengths, open_)
        y = reshaped(ctx, y, (*shape[:3], y.shape[-1]))
        y = _moved(ctx, joined, y) if flat else y
        stage = (scores, soft, masked, weights)[qk_matmul_output_mode]
        present = [_concatenated(ctx, parts, 2) for parts in (keys, values)]
        return tuple(_typed(t, dtype) for t in (y, *present, stage))

    def _weighted(self, ctx, weights, values, lengths, open_):
        """Sum of the values by their weights, those of the cache and the others."""
        weights = reshaped(ctx, weights, open_.shape)
        total = None
        for part, stop, length in zip(values, np.cumsum(lengths), lengths, strict=True):
            mine = weights
            if length < sum(lengths):
                mine = _moved(ctx, lambda a, e=stop, n=length: a[..., e - n : e], weights)
            terms = open_[..., stop - length : stop, np.newaxis]
            product = matrix_product(ctx, mine, part, terms=terms)
            total = product if total is None else _sum(ctx, total, product)
        return total


def _cached(ctx, past, new):
    """Keys or values in one part, or in two if only the cache or only what is new is encrypted."""
    if past is None:
        return [new]
    parts = [past, new]
    if isinstance(past, EncryptedTensor) == isinstance(new, EncryptedTensor):
        return [_concatenated(ctx, parts, 2)]
    return parts


def _concatenated(ctx, parts, axis):
    if len(parts) == 1:
        return parts[0]
    if not any(isinstance(part, EncryptedTensor) for part in parts):
        return np.concatenate(parts, axis=axis)
    return move(ctx, lambda *arrays: np.concatenate(arrays, axis=axis), parts)[0]


def _moved(ctx, function, x):
    return move(ctx, function, [x])[0] if isinstance(x, EncryptedTensor) else function(x)


def _each(ctx, function, *tensors):
    if any(isinstance(t, EncryptedTensor) for t in tensors):
        return elementwise(ctx, function, *tensors)
    return function(*tensors)


def _sum(ctx, a, b):
    encrypted = isinstance(a, EncryptedTensor) or isinstance(b, EncryptedTensor)
    return add(ctx, a, b) if encrypted else a + b


def _typed(x, dtype):
    return attrs.evolve(x, dtype=dtype) if isinstance(x, EncryptedTensor) else x.astype(dtype)
