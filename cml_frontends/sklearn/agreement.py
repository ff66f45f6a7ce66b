"""Models beside the estimators that they were made of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cml_core.errors import NodeError
from cml_core.numpy_module import NumpyModule
from cml_frontends.sklearn.assembly import INPUT

__all__ = ["difference", "difference_on_drawn", "lost_in_float32"]

#: Samples on which a model is compared with the estimator, and what may come of float32: the
#: share of samples that may differ (on the edge of a threshold), or one of a few, and by how much
#: all others may.
_SAMPLES, _FEW, _CLOSE = 256, 0.02, 1e-3
#: Classes whose probabilities are closer than this are equally likely.
_TIED = 1e-5
#: A value is lost if float32 moves it by more than this share of the way to the next one.
_MOVED = 0.1
#: The methods that outputs stand for.
_METHODS = {
    "label": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "variable": "predict",
}

Answers = Mapping[str, np.ndarray]


def difference(module: NumpyModule, steps: Sequence[Any], final: Any, samples: np.ndarray) -> str:
    """Say where a model does not give the estimator's own predictions; nothing if it does.

    Parameters
    ----------
    module : NumpyModule
        The model.
    steps : sequence of transformers
        What comes before the estimator.
    final : object
        The estimator.
    samples : array of shape (n, features)
        In float32; the first 256 are compared.
    """
    samples = samples[:_SAMPLES]
    try:
        found = module.run({INPUT: samples})
        module.run({INPUT: samples[:1]})  # as encryption does
    except NodeError as error:
        return error.message().rstrip(".")
    return _compare(found, _ask(found, steps, final, samples))


def difference_on_drawn(
    module: NumpyModule, steps: Sequence[Any], final: Any, blocks: Iterable[np.ndarray]
) -> str:
    """As `difference`, on samples that nobody gave, block by block.

    What an estimator refuses, or has no number for, says nothing, nor which of two classes it takes
    that are as likely.
    """
    names = [spec.name for spec in module.outputs]
    for samples in blocks:
        try:
            expected = _ask(names, steps, final, samples)
        except Exception:
            continue
        try:
            found = module.run({INPUT: samples})
        except NodeError as error:
            real = [one for one in expected.values() if one.dtype.kind == "f"]
            if all(np.isfinite(one).all() for one in real):
                return error.message().rstrip(".")
            continue
        reason = _compare(found, expected, ties=False)
        if reason:
            return f"{reason} that were drawn, as X is not given"
    return ""


def lost_in_float32(
    module: NumpyModule | None, steps: Sequence[Any], final: Any, X: np.ndarray
) -> str:
    """Say which feature has values that float32 cannot tell apart, if predictions hang on them.

    A model is compared with what the estimator says of the samples as they are. Few of them, or
    many of a feature that float32 holds well, may be put on the other side of a threshold by
    rounding: that is no fault.

    Parameters
    ----------
    module : NumpyModule or None
        The model; None for the estimator's own predictions on what float32 makes of the samples.
    steps, final
        As in `difference`.
    X : array of shape (n, features)
        The samples as they were given.
    """
    own = X[:_SAMPLES]
    rounded = own.astype(np.float32)
    if np.array_equal(own, rounded):
        return ""
    other = "variable" if hasattr(final, "classes_") else "label"
    names = [name for name in _METHODS if name != other and hasattr(final, _METHODS[name])]
    try:
        found = module.run({INPUT: rounded}) if module else _ask(names, steps, final, rounded)
    except NodeError:
        return ""  # which the other check tells
    reason = _compare(found, _ask(found, steps, final, own))
    lost = _share_lost(X) if reason else np.zeros(1)
    if lost.max() <= _FEW:
        return ""
    worst = int(lost.argmax())
    known = getattr(steps[0] if steps else final, "feature_names_in_", None)
    name = f"feature {worst}" if known is None else f"feature {known[worst]!r}"
    low, high = np.nanmin(X[:, worst]), np.nanmax(X[:, worst])
    return (
        f"{reason}: the model takes float32, which cannot tell values of {name} apart "
        f"(from {low:.10g} to {high:.10g})"
    )


def _share_lost(X: np.ndarray) -> np.ndarray:
    """For each feature, the share of its values that float32 moves towards the next one."""
    shares = []
    for column in X.T:
        values = np.unique(column[np.isfinite(column)].astype(np.float64))
        if len(values) < 2:
            shares.append(0.0)
            continue
        gaps = np.diff(values)
        nearest = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))
        moved = np.abs(values - values.astype(np.float32))
        shares.append(float(np.mean(moved > _MOVED * nearest)))
    return np.array(shares)


def _ask(
    outputs: Iterable[str], steps: Sequence[Any], final: Any, samples: np.ndarray
) -> dict[str, np.ndarray]:
    """What the estimator itself gives for each output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these samples have no feature names
        for step in steps:
            samples = step.transform(samples)
        return {name: np.asarray(getattr(final, _METHODS[name])(samples)) for name in outputs}


def _compare(found: Answers, expected: Answers, *, ties: bool = True) -> str:
    """Say which output differs; without `ties`, labels count only where one is likelier."""
    for name, wanted in expected.items():
        got = found[name]
        if got.size != wanted.size:
            return f"its {name} is of shape {got.shape} in place of {wanted.shape}"
        got = got.reshape(wanted.shape)
        if name == "label":
            off = got != wanted
            if not ties and "probabilities" in expected:
                second, first = np.sort(expected["probabilities"], axis=1)[:, -2:].T
                off &= first - second > _TIED
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                wanted = wanted.astype(np.float32)
                largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
                close = np.abs(got - wanted) <= _CLOSE * largest
            off = ~close & (got != wanted) & ~np.isnan(wanted)
        count = int(off.reshape(len(off), -1).any(axis=1).sum())
        if count > max(1, _FEW * len(off)):
            return f"its {name} differs from the estimator's for {count} of {len(off)} samples"
    return ""
