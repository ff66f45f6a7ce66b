"""Samples for estimators of which nobody gave any."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

__all__ = ["drawn_samples"]

#: Samples in a block, and the sizes of features in each block, where no threshold tells them.
_BLOCK, _SIZES = 64, (0.3, 1.0, 3.0, 10.0)


def drawn_samples(
    model: onnx.ModelProto, steps: Sequence[Any], features: int
) -> Iterator[np.ndarray]:
    """Draw samples that a model can be compared on, the same ones each time.

    A feature that trees compare with thresholds lies between two of these, or beyond the last;
    any other is normal, in several sizes. They are drawn as the estimator sees them, and taken
    back through the transformers before it where these have an inverse.

    Parameters
    ----------
    model : onnx.ModelProto
        The model, with its trees.
    steps : sequence of transformers
        What comes before the estimator.
    features : int
        How many features the estimator has, behind the transformers.

    Yields
    ------
    array of shape (n, features of the input)
        In float32.
    """
    rng = np.random.default_rng(0)
    cells = [_cells(values) for values in _thresholds(model, features)]
    for size in _SIZES:
        drawn = rng.normal(0.0, size, (_BLOCK, features))
        for place, cell in enumerate(cells):
            if cell is not None:
                chosen = rng.integers(0, len(cell), _BLOCK)
                # Away from the ends of a cell, where rounding decides.
                share = rng.uniform(0.1, 0.9, _BLOCK)
                drawn[:, place] = cell[chosen, 0] + share * np.ptp(cell[chosen], axis=1)
        samples = _before(steps, drawn)
        if len(samples):
            yield samples


def _thresholds(model: onnx.ModelProto, features: int) -> list[np.ndarray]:
    """For each feature, what the model's trees compare it with."""
    found: list[set[float]] = [set() for _ in range(features)]
    for node in model.graph.node:
        if node.op_type not in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"):
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        parts = (given.get(f"nodes_{part}", ()) for part in ("modes", "featureids", "values"))
        for mode, feature, value in zip(*parts, strict=False):
            if mode != b"LEAF" and feature < features:
                found[feature].add(value)
    return [np.sort(np.array(list(values))) for values in found]


def _cells(thresholds: np.ndarray) -> np.ndarray | None:
    """The intervals between thresholds, and one beyond each end."""
    if not len(thresholds):
        return None
    width = np.ptp(thresholds) / len(thresholds) or max(1.0, abs(thresholds[0]) / 10)
    ends = np.concatenate([[thresholds[0] - width], thresholds, [thresholds[-1] + width]])
    cells: np.ndarray = np.stack([ends[:-1], ends[1:]], axis=1)
    return cells


def _before(steps: Sequence[Any], samples: np.ndarray) -> np.ndarray:
    """What the transformers make these samples of, as far as that is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in reversed(steps):
            if hasattr(step, "inverse_transform"):
                samples = np.asarray(step.inverse_transform(samples))
            elif getattr(step, "n_features_in_", samples.shape[1]) != samples.shape[1]:
                rng = np.random.default_rng(1)
                samples = rng.normal(0.0, samples.std(), (len(samples), step.n_features_in_))
        samples = samples.astype(np.float32)
    whole: np.ndarray = samples[np.isfinite(samples).all(axis=1)]
    return whole
