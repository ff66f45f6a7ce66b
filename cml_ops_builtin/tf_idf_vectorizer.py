"""TfIdfVectorizer: how often known n-grams occur in rows of tokens, and weights of those that do.

The tokens of an n-gram may stand apart: all at the same distance, with up to `max_skip_count`
tokens between two. Of n-grams that share a coordinate of the output, the results are added.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_builtin._shared.n_grams import Pool


def tf_idf_vectorizer(x, **attributes):
    return prepare(x, **attributes)(x)


def prepare(
    x,
    *,
    mode,
    min_gram_length,
    max_gram_length,
    max_skip_count,
    ngram_counts,
    ngram_indexes,
    pool_int64s,
    pool_strings,
    weights,
):
    """Read the pool of n-grams."""
    if mode not in ("TF", "IDF", "TFIDF"):
        raise AttributeValueError("mode", mode, "TF, IDF or TFIDF")
    if not 1 <= min_gram_length <= max_gram_length <= len(ngram_counts):
        expected = f"at least min_gram_length ({min_gram_length}), which is positive, and at most "
        expected += f"the number of ngram_counts ({len(ngram_counts)})"
        raise AttributeValueError("max_gram_length", max_gram_length, expected)
    if max_skip_count < 0:
        raise AttributeValueError("max_skip_count", max_skip_count, "at least 0")
    if (pool_int64s is None) == (pool_strings is None):
        raise ValueError("it needs either pool_int64s or pool_strings, not both")
    words = pool_strings is not None
    tokens = np.array(pool_strings if words else pool_int64s, dtype=object if words else np.int64)
    pool = Pool.of(tokens, ngram_counts)
    places = np.array(ngram_indexes, dtype=np.int64)
    if len(places) != pool.size or places.min(initial=0) < 0:
        expected = f"a coordinate for each of the {pool.size} n-grams of the pool"
        raise AttributeValueError("ngram_indexes", ngram_indexes, expected)
    if weights is not None and len(weights) != pool.size:
        expected = f"a weight for each of the {pool.size} n-grams of the pool"
        raise AttributeValueError("weights", weights, expected)
    factors = np.ones(pool.size) if weights is None or mode == "TF" else np.array(weights)
    width = int(places.max(initial=-1)) + 1
    lengths = range(min_gram_length, max_gram_length + 1)

    def vectorize(x):
        if x.ndim not in (1, 2):
            raise AttributeValueError("shape of X", x.shape, "[C] or [N, C]")
        if words != (x.dtype.kind in "OU"):
            raise AttributeValueError("X", x.dtype.name, "tokens of the kind that the pool has")
        rows = x[np.newaxis] if x.ndim == 1 else x
        counts = pool.counts(rows, lengths, max_skip_count)
        scores = (np.minimum(counts, 1) if mode == "IDF" else counts) * factors
        check_size((len(scores), width), np.float64)
        y = np.zeros((len(scores), width))
        np.add.at(y.T, places, scores.T)
        return (y.reshape(*x.shape[:-1], width).astype(np.float32),)

    return vectorize


@hookimpl
def cml_op():
    row = np.int32([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8])
    pool = {
        "ngram_counts": [0, 4],
        "ngram_indexes": [0, 1, 2, 3, 4, 5, 6],
        "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
        "min_gram_length": 1,
        "max_gram_length": 2,
    }
    words = {
        "mode": "TFIDF",
        "ngram_counts": [0, 2],
        "ngram_indexes": [2, 0, 1],
        "pool_strings": ["to", "be", "to", "be"],
        "min_gram_length": 1,
        "max_gram_length": 2,
        "max_skip_count": 0,
        "weights": [0.5, 2.0, 3.0],
    }
    text = np.array([["to", "be", "or"], ["not", "to", "be"], ["to", "to", "to"]], dtype=object)
    return OpPlugin(
        schema=OpSchema("TfIdfVectorizer", since_versions=(9,)),
        numpy_op=tf_idf_vectorizer,
        prepare=prepare,
        examples=(
            OpExample(
                (row,), {**pool, "mode": "TF", "max_skip_count": 5}, encrypted=(), name="skips"
            ),
            OpExample(
                (row.reshape(2, 6),),
                {**pool, "mode": "IDF", "max_skip_count": 0, "weights": [1.0] * 6 + [0.5]},
                encrypted=(),
                name="rows",
            ),
            OpExample(
                (text,),
                words,
                (np.float32([[2, 3, 0.5], [2, 3, 0.5], [0, 0, 1.5]]),),
                encrypted=(),
                name="words",
            ),
        ),
    )
