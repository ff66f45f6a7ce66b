"""EmbedLayerNormalization: embeddings of words, positions and segments, summed and normalized."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

from ._layer_normalization import layer_norm, write_layer_norm


def embed_layer_normalization(
    ids, segments, words, positions, kinds, gamma, beta, mask=None, places=None, *, epsilon, **_
):
    """Return normalized embeddings, how many words each sequence has, and the embeddings."""
    total = words[ids] + positions[np.arange(ids.shape[1]) if places is None else places]
    if segments is not None:
        total = total + kinds[segments]
    count = np.zeros(len(ids)) if mask is None else (mask == 1).sum(axis=1)
    return layer_norm(total, gamma, beta, epsilon=epsilon)[0], count.astype(np.int32), total


def body(writer, ids, segments, words, positions, kinds, gamma, beta, *rest, epsilon, **_):
    """Write it as Gather, Add and LayerNormalization."""
    mask, places = (*rest, None, None)[:2]
    zero, one, two = (writer.constant([i]) for i in range(3))
    shape = writer.add("Shape", ids)
    if places is None:
        length = writer.add("Slice", shape, one, two)
        place = writer.add("Slice", positions, zero, length, zero)
    else:
        place = writer.add("Gather", positions, places)
    total = writer.add("Add", writer.add("Gather", words, ids), place)
    if segments is not None:
        total = writer.add("Add", total, writer.add("Gather", kinds, segments))
    if mask is None:
        count = writer.add("ConstantOfShape", writer.add("Slice", shape, zero, one))
    else:
        present = writer.add("Equal", mask, writer.constant(1, np.int32))
        count = writer.add("Einsum", writer.cast(present, np.float32), equation="bs->b")
    y = write_layer_norm(writer, total, gamma, beta, epsilon=epsilon)
    return y, writer.cast(count, np.int32), total


@hookimpl
def cml_op():
    """EmbedLayerNormalization of com.microsoft, the first layer of BERT."""
    ids, segments = np.int32([[2, 0, 1]]), np.int32([[0, 0, 1]])
    words = np.float32([[1, 0, 1, 0], [0, -1, 2, 1], [1, 1, -1, 1]])
    positions = np.float32([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [5, 5, 5, 5]])
    kinds = np.float32([[0, 0, 0, 0], [0, 0, 0, 1]])
    gamma, beta = np.float32([1, 1, 1, 1]), np.float32([0, 0, 0, 0])
    own_words, backwards = words + kinds[[0, 1, 0]], positions[::-1].copy()
    mask, places = np.int32([[1, 1, 0]]), np.int32([[3, 2, 1]])
    total = np.float32([[[1, 1, -1, 1], [1, 1, 1, 0], [1, -1, 2, 2]]])
    third = 1 / np.sqrt(3)
    sixth = np.sqrt(1 / 6)
    y = np.float32(
        [
            [
                [third, third, -3 * third, third],
                [third, third, third, -3 * third],
                [0, -4 * sixth, 2 * sixth, 2 * sixth],
            ]
        ]
    )
    return OpPlugin(
        schema=OpSchema(
            "EmbedLayerNormalization",
            (1,),
            domain="com.microsoft",
            attribute_defaults={"epsilon": 1e-12, "mask_index_type": 0},
        ),
        numpy_op=embed_layer_normalization,
        body=body,
        examples=(
            OpExample(
                (ids, segments, words, positions, kinds, gamma, beta),
                outputs=(y, np.int32([0])),
                n_outputs=2,
                lookups=48,
                max_bits=7,
            ),
            OpExample(
                (ids, None, own_words, backwards, None, gamma, beta, mask, places),
                outputs=(y, np.int32([2]), total),
                n_outputs=3,
                lookups=48,
                max_bits=7,
                name="with a mask",
            ),
        ),
    )
