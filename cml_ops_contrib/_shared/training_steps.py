"""One step of training, of any number of tensors: what the optimizers have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["DOMAIN", "optimized"]

DOMAIN = "ai.onnx.preview.training"


def optimized(
    step: Callable[..., tuple[np.ndarray, ...]],
    rate: np.ndarray,
    count: np.ndarray,
    tensors: tuple[np.ndarray, ...],
    kinds: tuple[str, ...],
) -> tuple[np.ndarray, ...]:
    """Apply an optimizer to each tensor.

    Parameters
    ----------
    step : callable
        `step(rate, count, *tensors) -> tensors`: one tensor, its gradient and what was gathered
        of earlier ones; returns the new tensor, and what is gathered now.
    rate, count : array
        Learning rate, and number of steps before this one.
    tensors : tuple of array
        All tensors to be optimized, then all of their gradients, and so on.
    kinds : tuple of str
        What these are, in a word each.

    Raises
    ------
    AttributeValueError
        Their number or their shapes do not fit.
    """
    for name, number in (("R", rate), ("T", count)):
        if number.size != 1:
            raise AttributeValueError(f"shape of {name}", number.shape, "one number")
    if not tensors or len(tensors) % len(kinds):
        expected = f"as many of each of these: {', '.join(kinds)}"
        raise AttributeValueError("number of inputs", len(tensors), expected)
    several = len(tensors) // len(kinds)
    results = []
    for group in (tensors[k::several] for k in range(several)):
        for kind, tensor in zip(kinds, group, strict=True):
            if tensor.shape != group[0].shape:
                raise AttributeValueError(f"shape of {kind}", tensor.shape, f"{group[0].shape}")
        results.append(step(float(rate.reshape(())), int(count.reshape(())), *group))
    # Kind by kind, as the inputs are; what is gathered takes the place of the inputs that held it.
    types = [tensor.dtype for tensor in tensors]
    types = types[:several] + types[2 * several :]
    ordered = [result[k] for k in range(len(kinds) - 1) for result in results]
    return tuple(np.asarray(y, dtype=dtype) for y, dtype in zip(ordered, types, strict=True))
