"""LinearAttention inside the circuit, as products of matrices: the loop over tokens is unrolled."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import EncryptedTensor, LoweringContext, add, elementwise, move
from cml_ops_builtin._shared.linear_attending import Sizes, by_key_head, gates, states
from cml_ops_builtin._shared.matrices import matrix_product, reshaped, transposed

__all__ = ["quantized_linear_attention"]


def quantized_linear_attention(
    ctx: LoweringContext,
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
    """Lower one node; query, key, value and past_state may be encrypted or clear."""
    if isinstance(decay, EncryptedTensor) or isinstance(beta, EncryptedTensor):
        ctx.refuse("decay or beta is encrypted", "They must be clear.")
    sizes = Sizes.of(query, key, value, past_state, **attributes)
    decay, beta = gates(decay, beta, update_rule, sizes)
    q = _moved(ctx, lambda a: by_key_head(a, sizes), query)
    v = _moved(ctx, lambda a: _heads(a, sizes), value)
    k = _moved(ctx, lambda a: _heads(a, sizes), key)
    form = _with_encrypted_keys if isinstance(key, EncryptedTensor) else _with_clear_keys
    y, state = form(ctx, q, k, v, past_state, decay, beta, sizes)
    shape = (sizes.batch, sizes.tokens, sizes.queries * sizes.value)

    def as_given(a):
        a = a.reshape(*a.shape[:2], sizes.tokens, -1, sizes.value)
        return a.swapaxes(1, 2).reshape(shape)

    kind = query.dtype if past_state is None else past_state.dtype
    return _typed(_moved(ctx, as_given, y), query.dtype), _typed(state, kind)


def _with_clear_keys(ctx, q, k, v, past, decay, beta, sizes):
    """Whatever the rule is, the state is a sum of values and of the first state.

    How much of each is in it after every token is what the rule makes of unit vectors.
    """
    count, first = sizes.tokens, 0 if past is None else sizes.key
    unit = np.eye(count + first)
    stack = (sizes.batch, sizes.heads)
    shares = states(
        k.astype(np.float64),
        np.broadcast_to(unit[:count], (*stack, count, count + first)),
        np.broadcast_to(np.eye(sizes.key, count + first, count), (*stack, sizes.key, len(unit))),
        *(None if gate is None else gate.astype(np.float64) for gate in (decay, beta)),
    )
    shares = np.stack(list(shares), axis=2)
    source = v
    if past is not None:
        source = _moved(ctx, lambda a, b: np.concatenate([a, b], axis=2), v, past)
    if not isinstance(source, EncryptedTensor):
        state = shares @ source[:, :, np.newaxis].astype(np.float64)
        return matrix_product(ctx, q, state * sizes.scale), state[:, :, -1]
    weights = matrix_product(ctx, q, shares * sizes.scale)
    rows = (*stack, count * q.shape[3], len(unit))
    # No query reads what later tokens have written.
    seen = np.tri(count, len(unit), dtype=bool) | (np.arange(len(unit)) >= count)
    terms = seen.repeat(q.shape[3], axis=0)[..., np.newaxis]
    y = matrix_product(ctx, reshaped(ctx, weights, rows), source, terms=terms)
    return y, matrix_product(ctx, shares[:, :, -1], source)


def _with_encrypted_keys(ctx, q, k, v, past, decay, beta, sizes):
    if beta is not None:
        ctx.refuse(
            "the key is encrypted, and the rule multiplies by it again for each further token",
            'Use the rule "linear" or "gated", or clear keys.',
        )
    if decay is not None and decay.shape[3] > 1:
        ctx.refuse("the key is encrypted and has a decay for each of its dimensions")
    # The logarithm of what is left, after each token, of what was there at the beginning.
    left = np.zeros((1, 1, sizes.tokens, 1)) if decay is None else np.cumsum(decay, axis=2)
    each = q.shape[3]
    q = reshaped(ctx, q, (*q.shape[:2], sizes.tokens * each, sizes.key))
    seen = np.tri(sizes.tokens, dtype=bool)
    kept = np.exp(np.where(seen, left - left.swapaxes(2, 3), -np.inf)).repeat(each, axis=2)
    seen = seen.repeat(each, axis=0)
    scores = matrix_product(ctx, q, transposed(ctx, k), terms=seen[:, np.newaxis])
    scores = _scaled(ctx, scores, kept * sizes.scale)
    y = matrix_product(ctx, scores, v, terms=seen[..., np.newaxis])
    faded = _scaled(ctx, k, np.exp(left[:, :, -1:] - left))
    state = matrix_product(ctx, transposed(ctx, faded), v)
    if past is not None:
        old = _scaled(ctx, matrix_product(ctx, q, past), np.exp(left).repeat(each, 2) * sizes.scale)
        y = add(ctx, y, old)
        state = add(ctx, state, _scaled(ctx, past, np.exp(left[:, :, -1:])))
    return y, state


def _heads(a, sizes):
    return a.reshape(sizes.batch, sizes.tokens, sizes.heads, -1).swapaxes(1, 2)


def _moved(ctx, function, *tensors):
    if any(isinstance(t, EncryptedTensor) for t in tensors):
        return move(ctx, function, tensors)[0]
    return function(*tensors)


def _scaled(ctx, x, factor):
    if isinstance(x, EncryptedTensor):
        return elementwise(ctx, np.multiply, x, factor)
    return x * factor


def _typed(x, dtype):
    return attrs.evolve(x, dtype=dtype) if isinstance(x, EncryptedTensor) else x.astype(dtype)
