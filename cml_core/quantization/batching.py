"""Where a model's outputs have their batch axis, found by running it on one sample and on two.

A circuit computes one sample. That is the model only if the samples of a batch do not meet, so a
model that mixes them (a sum over the batch, say) is refused here and not silently wrong later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cml_core.errors import QuantizationError
from cml_core.numpy_module import NumpyModule
from cml_core.samples import SampleLayout, count_samples

__all__ = ["close", "output_batch_axes"]


def output_batch_axes(
    module: NumpyModule, samples: Mapping[str, np.ndarray]
) -> dict[str, int | None]:
    """Return the batch axis of each output; None where an output is the same for every batch.

    Parameters
    ----------
    module : NumpyModule
        The float model.
    samples : mapping of str to array
        Samples `(N, *S)` for each input; two of them are used.

    Raises
    ------
    QuantizationError
        An output depends on several samples at once.
    """
    layout = SampleLayout(module.inputs, module.outputs)
    if not layout.batched:
        return {}
    both = [0, min(1, count_samples(samples) - 1)]
    two = {name: array[both] for name, array in samples.items()}
    alone = [module.run(feeds) for feeds in layout.batches(two, 1)]
    (pair,) = (module.run(feeds) for feeds in layout.batches(two, 2))
    return {
        name: _axis(module, name, [result[name] for result in alone], together)
        for name, together in pair.items()
    }


def _axis(
    module: NumpyModule, name: str, alone: list[np.ndarray], together: np.ndarray
) -> int | None:
    first, second = (np.asarray(array) for array in alone)
    together = np.asarray(together)
    if together.shape == first.shape == second.shape and close(together, first):
        if close(first, second):
            return None
    elif first.shape == second.shape and together.ndim == first.ndim:
        for axis in range(together.ndim):
            joined = np.concatenate([first, second], axis=axis)
            if joined.shape == together.shape and close(together, joined):
                return axis
    maker = next((n for n in module.graph.nodes if name in n.node.outputs), None)
    raise QuantizationError(
        maker.name if maker else name,
        maker.key.op_type if maker else "input",
        f"output {name!r} is not one result for each sample of a batch",
        "Fix the model's batch size: then a whole batch is one sample.",
    )


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether arrays are the same but for rounding."""
    if a.dtype.kind == "O":
        return a.shape == b.shape and all(map(_alike, a.flat, b.flat))
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    size = float(np.max(np.abs(np.nan_to_num(b)), initial=0.0))
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * size, equal_nan=True))


def _alike(a: Any, b: Any) -> bool:
    """Whether two strings are the same, or two maps but for rounding."""
    if not (isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys()):
        return bool(a == b)
    return close(np.array(list(a.values())), np.array([b[key] for key in a]))
