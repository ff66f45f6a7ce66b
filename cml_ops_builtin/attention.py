"""Attention: softmax(Q K' * scale + mask) V, with several heads, caches, masks and windows.

Under encryption, with Q, K and V encrypted, the scores cost a lookup for each of their terms
(queries x keys x size of a head), and the product with V as many; a clear factor saves those. The
softmax between them takes two lookups for each score that no mask excludes and one for each query,
or three for each score if rows differ much.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.attending import (
    PRECISIONS,
    Heads,
    allowed_and_bias,
    attended,
    capped,
    check,
    joined,
    score_scale,
    softmax_or_zero,
    split,
    together,
)
from cml_ops_builtin._shared.encrypted_attention import QuantizedAttention
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.softmaxes import softmax_along

#: Attributes that say which keys a query may attend to, where it may attend to all.
_NO_MASK = {"is_causal": 0, "left_window_size": -1, "right_window_size": -1}


def attention(
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
    heads = Heads.of(q, k, q_num_heads, kv_num_heads)
    check(past_key, past_value, qk_matmul_output_mode, softmax_precision)
    dtype, flat = q.dtype, q.ndim == 3
    q, k, v = split(q, heads.queries), split(k, heads.keys), split(v, heads.keys)
    if past_key is not None:
        k = np.concatenate([past_key, k], axis=2)
        v = np.concatenate([past_value, v], axis=2)
    shape = (*q.shape[:3], k.shape[2])
    rows, factor = together(q, heads.keys), score_scale(scale, q.shape[-1])
    precise = PRECISIONS.get(softmax_precision, dtype)
    open_ = attn_mask is None and nonpad_kv_seqlen is None and masking.items() <= _NO_MASK.items()
    usual = open_ and softcap == 0 and precise == dtype and dtype.itemsize >= 4
    if usual and n_outputs < 4 and math.prod(shape):
        y = attended(rows, k, v, factor).reshape(*shape[:3], v.shape[-1])
        return joined(y) if flat else y, k, v
    scores = _scores(rows, k, factor).reshape(shape)
    soft = masked = capped(widened(scores), softcap).astype(dtype, copy=False)
    if open_:
        (weights,) = softmax_along(soft.astype(precise, copy=False), axis=-1)
    else:
        past = None if past_key is None else past_key.shape[2]
        allowed, bias = allowed_and_bias(shape, past, attn_mask, nonpad_kv_seqlen, **masking)
        masked = np.where(allowed, soft + bias.astype(dtype), np.asarray(-np.inf, dtype=dtype))
        weights = softmax_or_zero(masked.astype(precise, copy=False))
    weights = weights.astype(dtype, copy=False)
    y = _product(together(weights, heads.keys), v).reshape(*shape[:3], v.shape[-1])
    stage = (scores, soft, masked, weights)[qk_matmul_output_mode]
    return joined(y) if flat else y, k, v, stage


def prepare(q, k, v, *others, **attributes):
    """Go straight to the products where queries, keys and values are all that is given."""
    usual = {**_NO_MASK, "softcap": 0, "softmax_precision": None, "qk_matmul_output_mode": 0}
    plain = all(attributes.get(name, value) == value for name, value in usual.items())
    if not plain or attributes["n_outputs"] > 3 or any(other is not None for other in others):
        return None
    scale, general = attributes["scale"], partial(attention, **attributes)

    def attend(q, k, v, *others):
        if q.ndim == 4 and q.size and q.dtype.itemsize >= 4 and q.shape == k.shape == v.shape:
            return attended(q, k, v, score_scale(scale, q.shape[3])), k, v
        return general(q, k, v, *others)

    return attend


def _scores(rows, k, factor):
    columns = k.swapaxes(-1, -2)
    if rows.dtype.itemsize >= 4:
        return np.matmul(rows * rows.dtype.type(factor), columns)
    # Each takes the square root of the scale, so that half precision does not overflow.
    root = np.sqrt(abs(factor)).astype(rows.dtype)
    return _product(rows * root, columns * (root if factor >= 0 else -root))


def _product(a, b):
    return np.matmul(widened(a), widened(b)).astype(a.dtype, copy=False)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    def example(name, *inputs, opset=25, encrypted=(), **settings):
        attributes = {
            k: v for k, v in settings.items() if k not in ("tolerance", "n_bits", "n_outputs")
        }
        checks = {k: v for k, v in settings.items() if k not in attributes}
        return OpExample(inputs, attributes, name=name, opset=opset, encrypted=encrypted, **checks)

    q, k, v = uniform(2, 4, 3, 2), uniform(2, 2, 5, 2), uniform(2, 2, 5, 3)
    q3, k3, v3 = uniform(2, 3, 8), uniform(2, 5, 4), uniform(2, 5, 6)
    cache = uniform(2, 2, 2, 2), uniform(2, 2, 2, 3)
    seen = rng.uniform(size=(2, 1, 3, 5)) < 0.6
    seen[0, 0, 1] = False
    q1 = np.float32([[[[1.5, -1]]]])
    k1, v1 = np.float32([[[[1, -1.5], [-1.5, 1]]]]), np.float32([[[[1, -0.5], [-1, 0.5]]]])
    both = np.concatenate([q1, -q1], axis=2)
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    return OpPlugin(
        schema=OpSchema("Attention", since_versions=(23, 24, 25), counts_outputs=True),
        numpy_op=attention,
        quantized_op=QuantizedAttention(),
        prepare=prepare,
        examples=(
            example("grouped heads", q, k, v, opset=23),
            example("three axes", q3, k3, v3, opset=24, scale=0.3, **heads),
            example("causal, softcap", q, k, v, is_causal=1, softcap=0.5),
            example(
                "booleans, a row is masked", q, k, v, seen, n_outputs=4, qk_matmul_output_mode=3
            ),
            example(
                "short float mask", q, k, v, uniform(3, 4), n_outputs=4, qk_matmul_output_mode=2
            ),
            example("cache", q, k, v, None, *cache, is_causal=1, n_outputs=4),
            example("lengths", q, k, v, None, None, None, np.int64([3, 5]), is_causal=1),
            example(
                "window", q, k, v, left_window_size=1, right_window_size=0, softmax_precision=11
            ),
            example("float16", *(x.astype(np.float16) for x in (q, k, v)), softmax_precision=1),
            example("encrypted", q1, k1, v1, encrypted=(0, 1, 2), n_bits=3, tolerance=0.15),
            example("encrypted queries", both, k1, v1, encrypted=(0,), n_bits=3, is_causal=1),
            example("encrypted values", both, k1, v1, encrypted=(2,), n_bits=3),
        ),
        restrictions="attn_mask and nonpad_kv_seqlen must be clear; qk_matmul_output_mode 2 only "
        "where no mask excludes a key",
    )
