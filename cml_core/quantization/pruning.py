"""Leaving out inputs of a linear layer that the others can stand in for.

Every input of a linear layer that comes out of a nonlinear function costs a lookup. What little
one of them adds to what the others say can often be given up, and the weights of the others take
over what they can of it (optimal brain surgeon: Hassibi and Stork 1992, for whole inputs as in
Kurtic et al. 2023, arXiv:2302.04089, section 3; here on the layer's own calibration data).
"""

from __future__ import annotations

import attrs
import numpy as np

__all__ = ["Pruned", "prune_inputs"]

#: Share of the mean input power that is added to every input's own, so that a solution exists.
_DAMPING = 0.01


@attrs.frozen(slots=True, eq=False)
class Pruned:
    """A linear layer with fewer inputs.

    Parameters
    ----------
    kept : bool array of shape (C,)
        Which channels of its input are still read.
    weight : array of shape (K, M)
        Its weights, zero where a channel is not read.
    offset : array of shape (M,)
        What has to be added to its results, so that their means stay.
    """

    kept: np.ndarray
    weight: np.ndarray
    offset: np.ndarray


def prune_inputs(
    weight: np.ndarray, inputs: np.ndarray, channels: int, most: float
) -> Pruned | None:
    """Choose channels to leave out, the least missed first, and adapt the weights of the others.

    Parameters
    ----------
    weight : float array of shape (K, M)
        Weights of M results.
    inputs : array of shape (P, K)
        What they are multiplied with on calibration data.
    channels : int
        How many channels the K inputs divide into evenly, one after another.
    most : float
        Largest error that may be made, as a share of the results' power about their mean, on
        average over the results.

    Returns
    -------
    Pruned or None
        None if every channel is needed, or if a single sample says nothing of it.
    """
    if len(inputs) < 2:
        return None
    mean = inputs.mean(axis=0)
    moments = np.cov(inputs, rowvar=False, bias=True).reshape(weight.shape[0], -1)
    signal = np.einsum("km,kl,lm->m", weight, moments, weight, optimize=True)
    moving = signal > 0
    if not moving.any():
        return None
    root = np.sqrt(np.where(moving, signal, 1.0))
    rest = np.where(moving, weight / root, 0.0)
    inverse = np.linalg.inv(_damped(moments, len(inputs)))
    places = np.arange(len(weight)).reshape(channels, -1)
    kept = np.ones(channels, dtype=bool)
    budget = most * np.count_nonzero(moving)
    while kept.sum() > 1:
        alive = np.flatnonzero(kept)
        rows = places[alive]
        blocks = inverse[rows[:, :, np.newaxis], rows[:, np.newaxis, :]]
        errors = np.sum(rest[rows] * np.linalg.solve(blocks, rest[rows]), axis=(1, 2))
        least = int(errors.argmin())
        budget -= float(errors[least])
        if budget < 0:
            break
        kept[alive[least]] = False
        gone = rows[least]
        taken = np.linalg.solve(blocks[least], inverse[gone])
        rest -= taken.T @ rest[gone]
        inverse -= inverse[:, gone] @ taken
    if kept.all():
        return None
    adapted = np.where(moving, rest * root, weight)
    adapted[places[~kept].reshape(-1)] = 0.0
    return Pruned(kept, adapted, mean @ (weight - adapted))


def _damped(moments: np.ndarray, count: int) -> np.ndarray:
    """Second moments that can be inverted; those between inputs count less the fewer samples."""
    power = np.diag(moments).copy()
    damped = moments * (count / (count + len(moments)))
    damped[np.diag_indices(len(moments))] = power + _DAMPING * power.mean()
    return damped
