"""Attention: scaled dot-product attention of several heads, with the projection before it."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl


def attention(x, w, b=None, mask=None, past=None, bias=None, _=None, *, num_heads, **options):
    """Return what the heads attend to, and the keys and values."""
    refuse_past(past, options)
    count, length = x.shape[:2]
    projected = x @ w if b is None else x @ w + b
    sizes = options["qkv_hidden_sizes"] or [w.shape[1] // 3] * 3
    parts = np.split(projected, np.cumsum(sizes)[:2], axis=-1)
    q, k, v = (p.reshape(count, length, num_heads, -1).swapaxes(1, 2) for p in parts)
    scores = (options["scale"] or q.shape[-1] ** -0.5) * (q @ k.swapaxes(-1, -2))
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores + np.where(kept(mask, count, length), 0, options["mask_filter_value"])
    if options["unidirectional"]:
        scores = np.where(np.tri(length, dtype=bool), scores, np.finfo(x.dtype).min)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    y = (weights / weights.sum(axis=-1, keepdims=True)).astype(x.dtype, copy=False) @ v
    y = y.swapaxes(1, 2).reshape(count, length, -1)
    return (y, np.stack([k, v])) if k.shape == v.shape else (y,)


def kept(mask, count, length):
    """Return which keys a mask keeps, for each sequence and, if it says so, each query.

    A mask of one axis has the end of each sequence and, if it is longer, the start of each.
    """
    if mask.ndim > 1:
        return (mask != 0).reshape(count, 1, -1, length)
    places = np.arange(length)
    keep = places < mask[:count, None]
    if len(mask) > count:
        keep &= places >= mask[count:, None]
    return keep[:, None, None]


def body(writer, x, w, b=None, mask=None, past=None, bias=None, _=None, *, num_heads, **options):
    """Write it as the projection, MatMul, Softmax and MatMul."""
    refuse_past(past, options)
    if options["qkv_hidden_sizes"]:
        raise AttributeValueError("qkv_hidden_sizes", options["qkv_hidden_sizes"], "no sizes")

    def number(value):
        return writer.constant(value, np.float32)

    projected = writer.add("MatMul", x, w)
    if b is not None:
        projected = writer.add("Add", projected, b)
    split = writer.add("Reshape", projected, writer.constant([0, 0, 3, num_heads, -1]))
    parts = writer.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    q, k, v = (writer.add("Gather", parts, writer.constant(i), axis=0) for i in range(3))
    if options["scale"]:
        scale = number(options["scale"])
    else:
        size = writer.add("Slice", writer.add("Shape", q), *map(writer.constant, ([3], [4])))
        scale = writer.add("Reciprocal", writer.add("Sqrt", writer.cast(size, np.float32)))
    products = writer.add("MatMul", q, writer.add("Transpose", k, perm=[0, 1, 3, 2]))
    scores = writer.add("Mul", products, scale)
    if bias is not None:
        scores = writer.add("Add", scores, bias)
    if mask is not None:
        dropped = writer.add("Sub", number(1), write_kept(writer, x, mask))
        filtered = writer.add("Mul", dropped, number(options["mask_filter_value"]))
        scores = writer.add("Add", scores, filtered)
    if options["unidirectional"]:
        square = writer.add("Slice", writer.add("Shape", scores), *map(writer.constant, ([2], [4])))
        low = writer.add("Expand", number(-1e9), square)
        later = writer.add("Trilu", low, writer.constant(1), domain="com.microsoft")
        scores = writer.add("Add", scores, later)
    y = writer.add("MatMul", writer.add("Softmax", scores, axis=-1), v)
    heads = writer.add("Transpose", y, perm=[0, 2, 1, 3])
    return writer.add("Reshape", heads, writer.constant([0, 0, -1])), ""


def write_kept(writer, x, mask):
    """Write which keys a mask keeps, as ones and zeros: it has a flag for each, or their ends.

    A body is not told which of the two it is; the model computes that from the mask's shape.
    """
    rank = writer.add("Size", writer.add("Shape", mask))
    column = writer.add("Reshape", writer.cast(mask, np.float32), writer.constant([0, 1, 1, -1]))
    length = writer.add("Gather", writer.add("Shape", x), writer.constant(1))
    places = writer.add("Range", writer.constant(0), length, writer.constant(1))
    before = writer.add("Less", writer.cast(places, np.float32), column)
    only_ends = writer.add("Equal", rank, writer.constant(1))
    return writer.add("Where", only_ends, writer.cast(before, np.float32), column)


def refuse_past(past, options):
    """Refuse what only language models need that generate word by word."""
    if past is not None:
        raise AttributeValueError("past", "a tensor", "no past state")
    if options["do_rotary"]:
        raise AttributeValueError("do_rotary", options["do_rotary"], "0")


@hookimpl
def cml_op():
    """Attention of com.microsoft, as AttentionFusion makes it of the layers of BERT."""
    x = np.float32([[[1, -1, 0.5, 0], [0, 1, -1, 0.5]]])
    w = np.float32(np.arange(48) % 7 - 3).reshape(4, 12) / 4
    b = np.float32(np.arange(12) % 5 - 2) / 4
    y = [[-0.57374364, 0.84832484, -1.1106334, 0.33926043]]
    y += [[-0.14571077, 0.27761438, -0.28547692, 0.08139904]]
    masked = [[-0.875, 1.25, 0.375, -0.125]] * 2
    causal = [[-0.875, 1.25, 0.375, -0.125], [-0.13232398, 0.25976527, -0.50064695, 0.14863968]]
    return OpPlugin(
        schema=OpSchema(
            "Attention",
            (1,),
            domain="com.microsoft",
            attribute_defaults={
                "do_rotary": 0,
                "mask_filter_value": -10000.0,
                "qkv_hidden_sizes": (),
                "scale": 0.0,
                "unidirectional": 0,
            },
        ),
        numpy_op=attention,
        body=body,
        examples=(
            OpExample(
                (x, w, b),
                {"num_heads": 2},
                (np.float32([y]),),
                n_bits=6,
                lookups=108,
                max_bits=7,
            ),
            OpExample(
                (x, w, b, np.int32([[1, 0]])),
                {"num_heads": 2},
                (np.float32([masked]),),
                n_bits=6,
                lookups=108,
                max_bits=7,
                name="masked",
            ),
            OpExample(
                (x, w, b, np.int32([1])),
                {"num_heads": 2},
                (np.float32([masked]),),
                n_bits=6,
                lookups=108,
                max_bits=7,
                name="masked from an end on",
            ),
            OpExample(
                (x, w, b),
                {"num_heads": 2, "unidirectional": 1, "scale": 0.25},
                (np.float32([causal]),),
                n_bits=6,
                lookups=112,
                max_bits=7,
                name="causal",
            ),
        ),
        restrictions="no past state; quantized with masks of shape (batch, keys) or (batch,) alone",
    )
