"""Largest elements of sets of different sizes, such as the bins of regions of interest."""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import maximum, move
from cml_ops_builtin._shared.extremes import Step, extreme

__all__ = ["largest_of_sets"]


def largest_of_sets(ctx, x, sets, shape):
    """Find the largest element of each of any number of sets, whatever their sizes.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    x : EncryptedTensor of shape (C, E)
        Elements.
    sets : sequence of int array
        Which elements, by their place along the last axis; an empty set gives zero.
    shape : tuple of int
        How the sets are laid out in the result, which is of shape (C, *shape).
    """
    full = np.array([len(own) > 0 for own in sets], dtype=bool).reshape(shape)
    steps = _ragged_steps([own for own in sets if len(own)])
    best = extreme(ctx, x, steps, maximum)

    def arranged(values):
        result = np.zeros((values.shape[0], *shape), dtype=values.dtype)
        result[:, full] = values
        return result

    return move(ctx, arranged, [best])[0]


def _ragged_steps(sets):
    """Steps that reduce sets of elements along the last axis, whatever their sizes, to one each."""
    steps = [Step((functools.partial(np.take, indices=np.concatenate(sets), axis=-1),))]
    sizes = np.array([len(own) for own in sets])
    while sizes.max(initial=0) > 1:
        owner = np.repeat(np.arange(len(sizes)), sizes)
        within = np.arange(len(owner)) - (np.cumsum(sizes) - sizes)[owner]
        half = (sizes // 2)[owner]
        parts = (within < half, (within >= half) & (within < 2 * half), within >= 2 * half)
        left, right, rest = map(np.flatnonzero, parts)
        # What nothing is compared with follows; then every set is brought together again.
        order = np.argsort(np.concatenate([owner[left], owner[rest]]), kind="stable")
        take = functools.partial(functools.partial, np.take, axis=-1)
        steps.append(
            Step(
                (take(indices=left), take(indices=right)), take(indices=rest) if len(rest) else None
            )
        )
        steps.append(Step((take(indices=order),)))
        sizes = sizes - sizes // 2
    return steps
