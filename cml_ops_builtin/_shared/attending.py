"""What Attention does to its inputs before anything is multiplied: heads, caches and masks."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.softmaxes import softmax_along
from cml_ops_builtin._shared.weight_layouts import product_of_stacks

__all__ = [
    "PRECISIONS",
    "Heads",
    "allowed_and_bias",
    "attended",
    "capped",
    "check",
    "joined",
    "score_scale",
    "softmax_or_zero",
    "split",
    "together",
]

#: Scores that are computed at a time.
_SCORES = 1 << 17
#: Between these sums of exponentials from which nothing was subtracted, no exponential that
#: counts has come near the ends of float32.
_LEAST_SUM, _LARGEST_SUM = 2.0**-20, 2.0**60
#: ONNX element types that softmax may be computed in.
PRECISIONS = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}


@attrs.frozen(slots=True)
class Heads:
    """How many heads queries, and keys and values, have."""

    queries: int
    keys: int

    @classmethod
    def of(cls, q: Any, k: Any, q_num_heads: int | None, kv_num_heads: int | None) -> Heads:
        """Take the numbers of heads from the shapes, or from attributes if these have none."""
        if len({q.ndim, k.ndim}) > 1 or q.ndim not in (3, 4):
            raise AttributeValueError("shape of Q", tuple(q.shape), "3 or 4 axes, as K and V have")
        if q.ndim == 4:
            queries, keys = q.shape[1], k.shape[1]
        else:
            if not q_num_heads or not kv_num_heads:
                name = "kv_num_heads" if q_num_heads else "q_num_heads"
                raise AttributeValueError(name, None, "the number of heads, for inputs of 3 axes")
            queries, keys = q_num_heads, kv_num_heads
            for name, tensor, count in (("Q", q, queries), ("K", k, keys)):
                if tensor.shape[-1] % count:
                    expected = f"a last axis that {count} heads divide"
                    raise AttributeValueError(f"shape of {name}", tuple(tensor.shape), expected)
        if keys == 0 or queries % keys:
            raise AttributeValueError("q_num_heads", queries, f"a multiple of {keys} key heads")
        return cls(queries, keys)


def split(x: np.ndarray, heads: int) -> np.ndarray:
    """Bring (batch, length, heads * size) to (batch, heads, length, size)."""
    if x.ndim == 4:
        return x
    return x.reshape(*x.shape[:2], heads, x.shape[-1] // heads).swapaxes(1, 2)


def together(q: np.ndarray, keys: int) -> np.ndarray:
    """Put queries of all heads that share a key head one after another: (batch, keys, …, size)."""
    return q.reshape(len(q), keys, q.shape[1] // keys * q.shape[2], q.shape[3])


def joined(y: np.ndarray) -> np.ndarray:
    """Bring (batch, heads, length, size) to (batch, length, heads * size)."""
    return y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], y.shape[1] * y.shape[3])


def allowed_and_bias(
    shape: tuple[int, int, int, int],
    past: int | None,
    attn_mask: np.ndarray | None,
    nonpad_kv_seqlen: np.ndarray | None,
    *,
    is_causal: int = 0,
    left_window_size: int = -1,
    right_window_size: int = -1,
) -> tuple[np.ndarray, np.ndarray]:
    """Which query may attend to which key, and what is added to its score.

    Parameters
    ----------
    shape : tuple of int
        Batch, heads of queries, number of queries, number of keys.
    past : int or None
        Number of keys in the cache, None if there is no cache.

    Returns
    -------
    tuple
        Booleans of that shape, and numbers that broadcast to it.
    """
    for name, size in (("left", left_window_size), ("right", right_window_size)):
        if size < -1:
            raise AttributeValueError(f"{name}_window_size", size, "-1 or a number of positions")
    batch, _, queries, keys = shape
    allowed, bias = np.ones(shape, dtype=bool), np.zeros(())
    start = np.zeros((batch, 1, 1, 1), dtype=np.int64) + (past or 0)
    if nonpad_kv_seqlen is not None:
        if past is not None:
            raise AttributeValueError("nonpad_kv_seqlen", "given", "no past_key beside it")
        valid = np.asarray(nonpad_kv_seqlen, dtype=np.int64).reshape(-1, 1, 1, 1)
        start = valid - queries
        allowed &= np.arange(keys) < valid
    # Query i stands at position `start + i` among the keys.
    distance = np.arange(keys) - (start + np.arange(queries)[:, np.newaxis])
    if is_causal:
        allowed &= distance <= 0
    if left_window_size >= 0:
        allowed &= distance >= -left_window_size
    if right_window_size >= 0:
        allowed &= distance <= right_window_size
    if attn_mask is not None:
        missing = keys - attn_mask.shape[-1] if attn_mask.ndim else 0
        is_flag = attn_mask.dtype == bool
        open_ = attn_mask if is_flag else ~np.isneginf(attn_mask)
        bias = bias if is_flag else np.where(open_, attn_mask, np.zeros((), attn_mask.dtype))
        if missing > 0:
            width = [(0, 0)] * (attn_mask.ndim - 1) + [(0, missing)]
            open_ = np.pad(open_, width)
            bias = np.pad(bias, width) if bias.ndim else bias
        allowed &= open_
    return allowed, bias


def check(past_key: Any, past_value: Any, mode: int, softmax_precision: int | None) -> None:
    """Refuse inputs and attributes that do not go together."""
    if (past_key is None) != (past_value is None):
        raise AttributeValueError("past_key or past_value", None, "both of them or none")
    if mode not in (0, 1, 2, 3):
        raise AttributeValueError("qk_matmul_output_mode", mode, "0, 1, 2 or 3")
    if softmax_precision is not None and softmax_precision not in PRECISIONS:
        expected = "the number of a floating-point type: 1, 10, 11 or 16"
        raise AttributeValueError("softmax_precision", softmax_precision, expected)


def score_scale(scale: float | None, size: int) -> np.float64:
    """What scores of heads of this size are multiplied with."""
    return np.float64(1 / math.sqrt(max(size, 1)) if scale is None else scale)


def capped(scores: np.ndarray, softcap: float) -> np.ndarray:
    """Scores that stay within `softcap` on both sides of zero."""
    return softcap * np.tanh(scores / softcap) if softcap > 0 else scores


def softmax_or_zero(x: np.ndarray) -> np.ndarray:
    """Softmax of which a row without any finite score is zero."""
    top = x.max(axis=-1, keepdims=True, initial=-np.inf)
    power = np.exp(x - np.where(np.isneginf(top), np.zeros_like(top), top))
    total = widened(power).sum(axis=-1, keepdims=True).astype(x.dtype)
    return power / np.where(total == 0, np.ones_like(total), total)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, factor: float) -> np.ndarray:
    """Attend to all keys, with the scores of as many heads at a time as a cache holds.

    The largest score of a row is not subtracted, which takes as long as the exponentials, and
    results are divided in place of weights. Rows that need more care get it in `_anew`. Whether
    one does depends on no other row: a query has the same result in whatever batch.

    Parameters
    ----------
    q, k, v : array of shape (batch, heads, length, size)
        float32 or float64; of queries, keys and values, with at least one key and one query.
    factor : float
        What scores are multiplied with.

    Returns
    -------
    array of shape (batch, heads, queries, size of values)
    """
    queries, keys, values = (a.reshape(-1, *a.shape[2:]) for a in (q, k, v))
    count, rows, _ = queries.shape
    columns, scale = keys.swapaxes(1, 2), q.dtype.type(factor)
    whole = np.empty((*q.shape[:3], v.shape[3]), dtype=q.dtype)
    y = whole.reshape(count, rows, -1)
    step = max(1, _SCORES // (rows * len(keys[0])))
    room = np.empty((min(step, count), rows, len(keys[0])), dtype=q.dtype)
    for start in range(0, count, step):
        here = slice(start, start + step)
        part, weights, out = queries[here] * scale, room[: count - start], y[here]
        np.matmul(part, columns[here], weights)
        np.exp(weights, weights)
        total = np.einsum("hij->hi", weights)
        product_of_stacks(weights, values[here], out)
        np.divide(out, total[..., np.newaxis], out)
        usual = (total >= _LEAST_SUM) & (total <= _LARGEST_SUM)
        if not usual.all():
            _anew(part, columns[here], values[here], ~usual, out)
    line = whole.reshape(-1)
    if not math.isfinite(line.dot(line)):
        # Weights that had not been divided yet were too much for large values.
        _anew(queries * scale, columns, values, ~np.isfinite(y).all(axis=-1), y)
    return whole


def _anew(
    queries: np.ndarray, columns: np.ndarray, values: np.ndarray, which: np.ndarray, out: np.ndarray
) -> None:
    """Attend anew in some rows (heads, queries): largest score subtracted, weights divided."""
    heads = which.any(axis=1)
    (weights,) = softmax_along(np.matmul(queries[heads], columns[heads]), axis=-1)
    out[which] = np.matmul(weights, values[heads])[which[heads]]
