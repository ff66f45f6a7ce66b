"""Estimators as their own libraries know them.

Converters recognize an estimator by its class, so that ours go to them as what they extend.
"""

from __future__ import annotations

from typing import Any

__all__ = ["OWN", "as_original", "original_class", "steps_of"]

#: Attributes of our estimators that the originals do not have.
OWN = frozenset({"n_bits", "encoding", "_compiled", "_onnx"})


def original_class(cls: type) -> type:
    """The class that an estimator of ours extends; any other class is its own."""
    original: type = getattr(cls, "_original", cls)
    return original


def as_original(estimator: Any) -> Any:
    """Return an estimator as one of the class that ours extends, with the same attributes.

    Search estimators are replaced by the best that they found.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    original = original_class(type(estimator))
    if original is type(estimator):
        return estimator
    plain = object.__new__(original)
    vars(plain).update({k: v for k, v in vars(estimator).items() if k not in OWN})
    return plain


def steps_of(estimator: Any) -> tuple[list[Any], Any]:
    """Divide a fitted pipeline, or an estimator, into transformers and a final estimator."""
    estimator = as_original(estimator)
    if not hasattr(estimator, "steps"):
        return [], estimator
    *steps, final = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    before = [part for step in steps for part in (*steps_of(step)[0], steps_of(step)[1])]
    inner, final = steps_of(final)
    return [*before, *inner], final
