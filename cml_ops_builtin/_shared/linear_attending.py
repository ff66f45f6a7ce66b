"""LinearAttention's state over time: what tokens write into it, and what it forgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["Sizes", "by_key_head", "gates", "states"]

_RULES = ("linear", "gated", "delta", "gated_delta")


@attrs.frozen(slots=True)
class Sizes:
    """Sizes of one LinearAttention, and what its scores are multiplied with."""

    batch: int
    tokens: int
    queries: int
    heads: int
    key: int
    value: int
    scale: float

    @classmethod
    def of(
        cls,
        query: Any,
        key: Any,
        value: Any,
        past_state: Any,
        *,
        q_num_heads: int,
        kv_num_heads: int,
        scale: float,
    ) -> Sizes:
        """Take them from shapes and attributes.

        Raises
        ------
        AttributeValueError
            They do not fit together.
        """
        if kv_num_heads < 1 or q_num_heads < 1 or q_num_heads % kv_num_heads:
            expected = f"a multiple of the {kv_num_heads} heads of keys"
            raise AttributeValueError("q_num_heads", q_num_heads, expected)
        for name, tensor, heads in (
            ("query", query, q_num_heads),
            ("key", key, kv_num_heads),
            ("value", value, kv_num_heads),
        ):
            shape = tuple(tensor.shape)
            if len(shape) != 3 or shape[:2] != tuple(query.shape[:2]) or shape[2] % heads:
                expected = f"(batch, tokens, a multiple of {heads})"
                raise AttributeValueError(f"shape of {name}", shape, expected)
        size, depth = key.shape[2] // kv_num_heads, value.shape[2] // kv_num_heads
        if query.shape[2] != q_num_heads * size:
            expected = f"{q_num_heads} heads of {size}, as keys have"
            raise AttributeValueError("shape of query", tuple(query.shape), expected)
        state = (query.shape[0], kv_num_heads, size, depth)
        if past_state is not None and tuple(past_state.shape) != state:
            raise AttributeValueError("shape of past_state", tuple(past_state.shape), str(state))
        factor = scale or 1.0 / np.sqrt(max(size, 1))
        return cls(*query.shape[:2], q_num_heads, kv_num_heads, size, depth, float(factor))


def by_key_head(q: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Bring queries to (batch, heads of keys, tokens, queries that share a key, size)."""
    shape = (sizes.batch, sizes.tokens, sizes.heads, sizes.queries // sizes.heads, sizes.key)
    return q.reshape(shape).swapaxes(1, 2)


def gates(
    decay: np.ndarray | None, beta: np.ndarray | None, rule: str, sizes: Sizes
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Check which of both a rule takes, and bring them to (batch, heads, tokens, size or 1)."""
    if rule not in _RULES:
        raise AttributeValueError("update_rule", rule, "one of " + ", ".join(_RULES))
    many = (sizes.heads, sizes.heads * sizes.key)
    found = []
    for name, tensor, taken, widths in (
        ("decay", decay, "gated" in rule, many),
        ("beta", beta, "delta" in rule, (sizes.heads, 1)),
    ):
        if (tensor is not None) != taken:
            expected = f"{'an input' if taken else 'none'}, as the rule is {rule}"
            raise AttributeValueError(name, "missing" if taken else "given", expected)
        if tensor is None:
            found.append(None)
            continue
        if (
            tensor.ndim != 3
            or tensor.shape[2] not in widths
            or tensor.shape[:2]
            != (
                sizes.batch,
                sizes.tokens,
            )
        ):
            expected = f"({sizes.batch}, {sizes.tokens}, {widths[0]} or {widths[1]})"
            raise AttributeValueError(f"shape of {name}", tensor.shape, expected)
        heads = min(sizes.heads, tensor.shape[2])
        last = tensor.shape[2] // heads
        found.append(tensor.reshape(sizes.batch, sizes.tokens, heads, last).swapaxes(1, 2))
    return found[0], found[1]


def states(
    key: np.ndarray,
    value: np.ndarray,
    start: np.ndarray,
    decay: np.ndarray | None,
    beta: np.ndarray | None,
) -> Iterator[np.ndarray]:
    """The state after each token, (batch, heads, size of keys, size of values).

    Keys, values and gates have the axes (batch, heads, tokens, size).
    """
    state = start
    for token in range(key.shape[2]):
        k, v = key[:, :, token, :, np.newaxis], value[:, :, token, np.newaxis]
        if decay is not None:
            state = state * np.exp(decay[:, :, token, :, np.newaxis])
        if beta is not None:
            v = beta[:, :, token, :, np.newaxis] * (v - np.matmul(k.swapaxes(2, 3), state))
        state = state + k * v
        yield state
