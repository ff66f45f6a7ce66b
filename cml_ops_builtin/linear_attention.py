"""LinearAttention: queries read a state that every token's key and value are written into.

Under encryption with clear keys it is a product with what the keys, decays and rates say: free for
encrypted queries or encrypted values alone, and one product of encrypted matrices for both. With
encrypted keys the scores of queries and keys cost a lookup for each of their terms, as do the
weighted sums of values, as in Attention but without its softmax.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.encrypted_linear_attention import quantized_linear_attention
from cml_ops_builtin._shared.linear_attending import Sizes, by_key_head, gates, states


def linear_attention(
    query,
    key,
    value,
    past_state=None,
    decay=None,
    beta=None,
    *,
    update_rule,
    chunk_size=64,
    **attributes,
):
    sizes = Sizes.of(query, key, value, past_state, **attributes)
    wide = np.float32
    decay, beta = (
        None if gate is None else gate.astype(wide)
        for gate in gates(decay, beta, update_rule, sizes)
    )
    shape = (sizes.batch, sizes.tokens, sizes.heads)
    q = by_key_head(query.astype(wide), sizes)
    k = key.astype(wide).reshape(*shape, sizes.key).swapaxes(1, 2)
    v = value.astype(wide).reshape(*shape, sizes.value).swapaxes(1, 2)
    start = (sizes.batch, sizes.heads, sizes.key, sizes.value)
    state = first = np.zeros(start, wide) if past_state is None else past_state.astype(wide)
    y = np.zeros((*q.shape[:4], sizes.value), dtype=wide)
    for token, state in enumerate(states(k, v, first, decay, beta)):
        y[:, :, token] = np.matmul(q[:, :, token], state) * wide(sizes.scale)
    y = y.swapaxes(1, 2).reshape(*shape[:2], sizes.queries * sizes.value)
    kind = query.dtype if past_state is None else past_state.dtype
    return y.astype(query.dtype), state.astype(kind)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    def example(name, *inputs, encrypted=(), n_bits=4, tolerance=0.1, lookups=None, **settings):
        checks = {
            "encrypted": encrypted,
            "n_bits": n_bits,
            "tolerance": tolerance,
            "lookups": lookups,
        }
        heads = {"q_num_heads": 1, "kv_num_heads": 1}
        return OpExample(inputs, {**heads, **settings}, n_outputs=2, name=name, **checks)

    q, k, v, past = uniform(2, 3, 8), uniform(2, 3, 4), uniform(2, 3, 6), uniform(2, 2, 2, 3)
    decay, beta = -np.abs(uniform(2, 3, 4)), np.abs(uniform(2, 3, 2))
    grouped = {"q_num_heads": 4, "kv_num_heads": 2}
    few = tuple(uniform(1, 2, 2) for _ in range(3))
    opposed = (
        np.float32([[[1.0, -1.0], [-1.0, 0.5]]]),
        np.float32([[[1.0, -0.5], [-1.0, 1.0]]]),
        np.float32([[[1.0, -1.0], [-1.0, 0.5]]]),
    )
    rates = decay[:1, :2, :1], beta[:1, :2, :1]
    halves = [t.astype(np.float16) for t in (q, k, v)]
    return OpPlugin(
        schema=OpSchema("LinearAttention", since_versions=(27,)),
        numpy_op=linear_attention,
        quantized_op=quantized_linear_attention,
        examples=(
            example("grouped heads", q, k, v, past, decay, beta, scale=0.3, **grouped),
            example("one decay per head", q, k, v, None, decay[..., :2], beta[..., :1], **grouped),
            example("float16, linear", *halves, update_rule="linear", **grouped),
            example("delta", q, k, v, past, None, beta, update_rule="delta", **grouped),
            example("encrypted queries", *few, None, *rates, encrypted=(0,), lookups=0),
            example(
                "encrypted values and past",
                *few,
                past[:1, :1, :, :2],
                *rates,
                encrypted=(2, 3),
                lookups=0,
            ),
            example(
                "all encrypted",
                *opposed,
                None,
                rates[0],
                update_rule="gated",
                encrypted=(0, 1, 2),
                n_bits=3,
                tolerance=0.15,
            ),
        ),
        restrictions="decay and beta must be clear; with an encrypted key the rule must be linear "
        "or gated, by one decay for each head",
    )
