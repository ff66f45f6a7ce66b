"""Losses of predicted classes: the negative log likelihood, weighted by class and reduced."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.precision import widened

__all__ = ["negative_log_likelihood"]


def negative_log_likelihood(
    log_prob: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    *,
    reduction: str,
    ignore_index: int | None,
) -> np.ndarray:
    """Negative log likelihood of the target classes.

    Parameters
    ----------
    log_prob : array of shape (N, C, ...)
        Logarithms of the probabilities of each class.
    target : integer array of shape (N, ...)
        Classes from 0 to C - 1, or `ignore_index`, whose elements do not count.
    weight : array of shape (C,), optional
        Weight of each class, 1 if left out.
    reduction : str
        "none", "sum", or "mean": the sum of the losses divided by that of their weights.

    Raises
    ------
    AttributeValueError
        Shapes do not fit, a target is not a class, or the reduction is unknown.
    """
    _check(log_prob, target, weight, reduction)
    counted = np.ones(target.shape, dtype=bool) if ignore_index is None else target != ignore_index
    classes = log_prob.shape[1]
    wrong = target[counted & ((target < 0) | (target >= classes))]
    if wrong.size:
        expected = f"a class from 0 to {classes - 1}, or ignore_index"
        raise AttributeValueError("target", int(wrong[0]), expected)
    wide = widened(log_prob)
    chosen = np.where(counted, target, 0)
    each = np.ones((), wide.dtype) if weight is None else widened(weight)[chosen]
    share = np.where(counted, each, np.zeros((), wide.dtype))
    loss = -np.take_along_axis(wide, np.expand_dims(chosen, 1), axis=1)[:, 0] * share
    loss = np.where(counted, loss, np.zeros((), wide.dtype))
    if reduction != "none":
        loss = loss.sum() / share.sum() if reduction == "mean" else loss.sum()
    return np.asarray(loss, dtype=log_prob.dtype)


def _check(log_prob, target, weight, reduction):
    if log_prob.ndim < 2:
        raise AttributeValueError("shape of input", log_prob.shape, "(N, C) or (N, C, d1, ...)")
    wanted = (log_prob.shape[0], *log_prob.shape[2:])
    if target.shape != wanted:
        raise AttributeValueError("shape of target", target.shape, f"{wanted}")
    if weight is not None and weight.shape != log_prob.shape[1:2]:
        raise AttributeValueError("shape of weight", weight.shape, f"{log_prob.shape[1:2]}")
    if reduction not in ("none", "sum", "mean"):
        raise AttributeValueError("reduction", reduction, "none, sum or mean")
