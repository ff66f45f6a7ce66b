"""What becomes of a model's scores: `post_transform`, in NumPy and as nodes.

A lone score is changed by PROBIT alone, as in onnxruntime.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter

__all__ = ["pair_of", "transformed", "write_pair", "write_transformed"]

#: What changes the scores of two classes that come from one.
_OF_PAIRS = ("LOGISTIC", "PROBIT")
#: Scores no larger are zero to SOFTMAX_ZERO.
_ZERO = np.float32(1e-7)
#: The constants of Winitzki's approximation to the inverse error function, as in onnxruntime.
_CURVE, _TOP = np.float32(0.147), np.float32(2 / (3.14159 * 0.147))


def _softmax(scores):
    power = np.exp(scores - scores.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def _logistic(scores):
    upper = 1 / (1 + np.exp(-np.abs(scores)))
    return np.where(scores < 0, 1 - upper, upper)


def _softmax_zero(scores):
    return _softmax(np.where(np.abs(scores) > _ZERO, scores, np.float32(-np.inf)))


def _probit(scores):
    x = 2 * scores - 1
    log = np.log((1 - x) * (1 + x))
    half = _TOP + log / 2
    return np.sqrt(2 * (np.sqrt(half * half - log / _CURVE) - half)) * np.sign(x)


_TRANSFORMS = {
    "NONE": lambda scores: scores,
    "SOFTMAX": _softmax,
    "LOGISTIC": _logistic,
    "SOFTMAX_ZERO": _softmax_zero,
    "PROBIT": _probit,
}


def _checked(name: str) -> str:
    if name not in _TRANSFORMS:
        raise AttributeValueError("post_transform", name, f"one of {', '.join(_TRANSFORMS)}")
    return name


def transformed(scores: np.ndarray, post_transform: str) -> np.ndarray:
    """Apply a transform to float32 scores `(N, C)`."""
    post_transform = _checked(post_transform)
    if scores.shape[1] == 1 and post_transform != "PROBIT":
        return scores
    return _TRANSFORMS[post_transform](scores).astype(np.float32, copy=False)


def _starts(post_transform: str, signed: bool) -> float:
    """What the score of the first class is, less that of the second turned round."""
    return 0.0 if post_transform == "LOGISTIC" or (signed and post_transform == "NONE") else 1.0


def pair_of(score: np.ndarray, post_transform: str, *, signed: bool) -> np.ndarray:
    """The scores of two classes from the one `(N, 1)` of the second.

    They are `(1 - s, s)`, or `(-s, s)` if they are signed and left as they are; LOGISTIC and
    PROBIT alone change them.
    """
    first = np.float32(_starts(_checked(post_transform), signed)) - score
    pair = np.concatenate([first, score], axis=1)
    return transformed(pair, post_transform if post_transform in _OF_PAIRS else "NONE")


def write_transformed(writer: GraphWriter, scores: str, post_transform: str, count: int) -> str:
    """Nodes that do what `transformed` does to scores of so many columns."""
    post_transform = _checked(post_transform)
    if post_transform == "NONE" or (count == 1 and post_transform != "PROBIT"):
        return scores
    if post_transform == "LOGISTIC":
        return writer.add("Sigmoid", scores)
    if post_transform == "PROBIT":
        return _write_probit(writer, scores)
    if post_transform == "SOFTMAX_ZERO":
        size = writer.add("Abs", scores)
        counts = writer.add("Greater", size, writer.constant(_ZERO, np.float32))
        scores = writer.add("Where", counts, scores, writer.constant(-np.inf, np.float32))
    return writer.add("Softmax", scores, axis=1)


def _write_probit(writer: GraphWriter, scores: str) -> str:
    def of(op_type: str, a: str, b: str | float) -> str:
        return writer.add(op_type, a, b if isinstance(b, str) else writer.constant(b, np.float32))

    x = of("Sub", of("Mul", scores, 2.0), 1.0)
    below = writer.add("Sub", writer.constant(1.0, np.float32), x)
    log = writer.add("Log", of("Mul", below, of("Add", x, 1.0)))
    half = of("Add", of("Mul", log, 0.5), float(_TOP))
    inner = of("Sub", of("Mul", half, half), of("Div", log, float(_CURVE)))
    outer = of("Mul", of("Sub", writer.add("Sqrt", inner), half), 2.0)
    return of("Mul", writer.add("Sqrt", outer), writer.add("Sign", x))


def write_pair(writer: GraphWriter, score: str, post_transform: str, *, signed: bool) -> str:
    """Nodes that do what `pair_of` does."""
    start = _starts(_checked(post_transform), signed)
    spread = writer.add("Mul", score, writer.constant([[-1.0, 1.0]], np.float32))
    pair = writer.add("Add", spread, writer.constant([[start, 0.0]], np.float32))
    return write_transformed(
        writer, pair, post_transform if post_transform in _OF_PAIRS else "NONE", 2
    )
