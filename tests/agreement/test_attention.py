"""Attention with heads, masks and caches, linear attention, and rotary embeddings."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import finite
from tests.agreement.values import FLOATS, HALF, optional


def mask(draw, dtype, batch, heads, queries, keys, revision):
    """Draw a mask of two to four axes, each of which may be 1; booleans or numbers."""
    whole = (batch, heads, queries, keys)[draw(st.integers(0, 2)) :]
    size = [1 if n > 1 and draw(st.integers(0, 3)) == 3 else n for n in whole[:-1]]
    last = keys
    if revision >= 24 and keys > 1 and draw(st.integers(0, 3)) == 3:
        last = draw(st.integers(1, keys - 1))
    flags = np.random.default_rng(draw(st.integers(0, 255))).random((*size, last)) < 0.7
    if draw(st.booleans()):
        return flags
    numbers = finite(draw, dtype, flags.shape)
    return np.where(flags | draw(st.booleans()), numbers, -np.inf).astype(dtype)


def attention(draw, dtype, revision):
    batch, queries, keys = (draw(st.integers(1, 3)) for _ in range(3))
    of_keys, group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    heads = of_keys * group
    size, of_values = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    flat = draw(st.booleans())

    def tensor(count, length, width):
        shape = (batch, length, count * width) if flat else (batch, count, length, width)
        return finite(draw, dtype, shape) / dtype.type(2)

    inputs = [
        tensor(heads, queries, size),
        tensor(of_keys, keys, size),
        tensor(of_keys, keys, of_values),
    ]
    attributes = {"q_num_heads": heads, "kv_num_heads": of_keys} if flat else {}
    numbers = {
        "scale": draw(st.sampled_from([0.25, 1.0])),
        "softcap": draw(st.sampled_from([0.5, 2.0])),
        "is_causal": draw(st.integers(0, 1)),
    }
    attributes |= optional(draw, **numbers)
    cache = draw(st.sampled_from(["none", "past", "lengths" if revision >= 24 else "none"]))
    past = draw(st.integers(0, 3)) if cache == "past" else 0
    wide = mask(draw, dtype, batch, heads, queries, keys + past, revision)
    inputs.append(wide if draw(st.booleans()) else None)
    if cache == "past":
        inputs += [finite(draw, dtype, (batch, of_keys, past, n)) for n in (size, of_values)]
    elif cache == "lengths":
        inputs += [None, None, finite(draw, np.int64, (batch,), low=1, high=keys)]
    while inputs[-1] is None:
        inputs.pop()
    if revision >= 25 and draw(st.booleans()):
        windows = {name: draw(st.integers(-1, 2)) for name in ("left", "right")}
        attributes |= {f"{name}_window_size": size for name, size in windows.items()}
    n_outputs = 3 if cache == "past" else 1
    if draw(st.booleans()):
        n_outputs, attributes["qk_matmul_output_mode"] = 4, draw(st.integers(0, 3))
    left_out = (1, 2) if n_outputs == 4 and cache != "past" else ()
    return Node(inputs, attributes, n_outputs, left_out=left_out)


def rotary_embedding(draw, dtype, revision):
    batch, heads, tokens = (draw(st.integers(1, 3)) for _ in range(3))
    size = 2 * draw(st.integers(1, 4))
    turned = 2 * draw(st.integers(1, size // 2)) if draw(st.booleans()) else 0
    attributes = {"rotary_embedding_dim": turned} if turned else {}
    attributes |= optional(draw, interleaved=draw(st.integers(0, 1)))
    half = (turned or size) // 2
    if draw(st.booleans()):
        x = finite(draw, dtype, (batch, heads, tokens, size))
    else:
        x = finite(draw, dtype, (batch, tokens, heads * size))
        attributes["num_heads"] = heads
    if draw(st.booleans()):
        return Node(
            [x, *(finite(draw, dtype, (batch, tokens, half)) for _ in range(2))], attributes
        )
    longest = tokens + draw(st.integers(0, 2))
    caches = [finite(draw, dtype, (longest, half)) for _ in range(2)]
    positions = finite(draw, np.int64, (batch, tokens), low=0, high=longest - 1)
    return Node([x, *caches, positions], attributes)


def linear_attention(draw, dtype, revision):
    batch, tokens = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    of_keys, group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size, of_values = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rule = draw(st.sampled_from(["linear", "gated", "delta", "gated_delta"]))

    def small(*shape, **bounds):
        return finite(draw, dtype, shape, **bounds) / dtype.type(4)

    inputs = [
        small(batch, tokens, of_keys * group * size),
        small(batch, tokens, of_keys * size),
        small(batch, tokens, of_keys * of_values),
        small(batch, of_keys, size, of_values) if draw(st.booleans()) else None,
    ]
    per = of_keys * size if draw(st.booleans()) else of_keys
    decay = small(batch, tokens, per, low=-4, high=0) if "gated" in rule else None
    per = of_keys if draw(st.booleans()) else 1
    beta = small(batch, tokens, per, low=0, high=4) if "delta" in rule else None
    inputs += [decay, beta]
    while inputs[-1] is None:
        inputs.pop()
    attributes = {"q_num_heads": of_keys * group, "kv_num_heads": of_keys, "update_rule": rule}
    attributes |= optional(draw, scale=draw(st.sampled_from([0.5, 2.0])), chunk_size=1)
    return Node(inputs, attributes, 2)


def shows_masked_scores(node, case):
    return node.attributes.get("qk_matmul_output_mode") == 2


def tokens(tensor):
    return tensor.shape[1 if tensor.ndim == 3 else 2]


def is_causal_beside_cache(node, case):
    """Whether keys that are not in the cache are more or fewer than the queries."""
    q, k = node.inputs[:2]
    cached = len(node.inputs) > 4 and node.inputs[4] is not None
    return node.attributes.get("is_causal") and cached and tokens(q) != tokens(k)


def is_causal_by_row(node, case):
    """Whether a mask is the same for all queries but the causal one is not."""
    given = node.inputs[3] if len(node.inputs) > 3 else None
    return node.attributes.get("is_causal") and given is not None and given.shape[-2] == 1


def shows_scores_below_cap(node, case):
    return "softcap" in node.attributes and node.attributes.get("qk_matmul_output_mode") == 0


OPERATORS = {
    "Attention": Operator(
        attention,
        FLOATS + HALF,
        tolerance={"float16": 1e-2, "float64": 1e-6},
        why="onnxruntime holds the scale in float32, and computes float16 in float32",
        faults=[
            Fault("onnxruntime", "has the least number for -inf", when=shows_masked_scores),
            Fault("onnxruntime", "broadcasts no masks", says="ComputeOutputShapeForAttention"),
            Fault("onnxruntime", "lets the last query see all keys", when=is_causal_beside_cache),
            Fault("reference", "is causal by the mask's rows", when=is_causal_by_row),
            Fault("reference", "shows the capped scores", when=shows_scores_below_cap),
        ],
    ),
    "LinearAttention": Operator(linear_attention, FLOATS + HALF),
    "RotaryEmbedding": Operator(rotary_embedding, FLOATS + HALF),
}


@agreement(OPERATORS)
def test_attention(case):
    case.check()
