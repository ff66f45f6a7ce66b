"""Exported models beside the PyTorch modules that they were made of.

An exporter that follows one run of a module writes down what that run did. Where the module
decides in Python by what a tensor holds, other samples would have gone another way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from cml_core.errors import CmlError
from cml_core.numpy_module import NumpyModule
from cml_frontends.torch_samples import SampleInputs

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ControlFlowWarning", "difference", "has_open_batch", "leaves"]

#: How many samples are compared at once.
_PART = 32
#: What may come of float32: by how much values may differ, as a share of the largest; and the
#: share of samples that may differ more, where rounding has put one on the other side of a step.
_CLOSE, _FEW = 1e-3, 0.02


class ControlFlowWarning(UserWarning):
    """A module decides in Python by what a tensor holds, which an exported model cannot."""


def leaves(outputs: Any) -> list[Any]:
    """What a module returns, without the tuples and mappings around it."""
    if isinstance(outputs, Mapping):
        outputs = tuple(outputs.values())
    if isinstance(outputs, (tuple, list)):
        return [leaf for one in outputs for leaf in leaves(one)]
    return [] if outputs is None else [outputs]


def has_open_batch(model: onnx.ModelProto, names: Sequence[str], samples: SampleInputs) -> bool:
    """Whether the first axis of every input that counts samples may be of any length."""
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    return not any(
        batched and name in shapes and shapes[name][0].HasField("dim_value")
        for name, batched in zip(names, samples.batched, strict=True)
    )


def difference(
    torch: Any,
    module: nn.Module,
    model: onnx.ModelProto,
    names: Sequence[str],
    samples: SampleInputs,
    traced: SampleInputs,
    *,
    dynamic: bool,
    exact: bool,
) -> str:
    """Say where an exported model does not compute what its module does; nothing if it does.

    A module that does not repeat itself, such as one that draws random numbers, has nothing to be
    compared with.

    Parameters
    ----------
    torch : module
        PyTorch.
    module : torch.nn.Module
        The module.
    model : onnx.ModelProto
        What became of it.
    names : sequence of str
        The model's names of the inputs, in the order of the samples.
    samples : SampleInputs
        What both are run on.
    traced : SampleInputs
        What it was exported with.
    dynamic : bool
        Whether the model's batch size is open; if not, it is that of `traced`.
    exact : bool
        Whether every sample has to agree, as where a branch is suspected.
    """
    try:
        network = NumpyModule.from_onnx(model)
        network.run(_feeds(network, names, traced))
    except CmlError:
        return ""  # whatever the samples; who loads or runs the model is told why
    parts = list(samples.parts(_PART if dynamic else traced.count))
    if dynamic and samples.count > 1:
        parts.append(next(samples.parts(1)))  # as encryption does
    expected = [_arrays(part.run(torch, module)) for part in parts]
    try:
        found = [list(network.run(_feeds(network, names, part)).values()) for part in parts]
    except CmlError as error:
        return error.message().rstrip(".")
    outputs = [spec.name for spec in network.outputs]
    if len(outputs) != len(expected[0]):
        return ""
    sizes = [part.count for part in parts]
    reason = _compare(outputs, found, expected, sizes, exact)
    if not reason:
        return ""
    again = [_arrays(part.run(torch, module)) for part in parts]
    return "" if _compare(outputs, again, expected, sizes, exact) else reason


def _feeds(
    network: NumpyModule, names: Sequence[str], samples: SampleInputs
) -> dict[str, np.ndarray]:
    arrays = {n: tensor.numpy() for n, tensor in zip(names, samples.tensors, strict=True)}
    return {spec.name: arrays[spec.name] for spec in network.inputs}


def _arrays(outputs: Any) -> list[np.ndarray]:
    found = leaves(outputs)
    return [np.asarray(one.detach() if hasattr(one, "detach") else one) for one in found]


def _compare(
    names: Sequence[str],
    found: Sequence[Sequence[np.ndarray]],
    expected: Sequence[Sequence[np.ndarray]],
    sizes: Sequence[int],
    exact: bool,
) -> str:
    """Say which output differs, and by how much; each part of the samples has its own arrays."""
    for place, name in enumerate(names):
        pairs = [(ours[place], theirs[place]) for ours, theirs in zip(found, expected, strict=True)]
        for one, other in pairs:
            if one.shape != other.shape:
                return f"its output {name!r} is of shape {one.shape} in place of {other.shape}"
        gaps = np.concatenate([_gaps(*pair, n) for pair, n in zip(pairs, sizes, strict=True)])
        each = (np.abs(other[np.isfinite(other)]).max(initial=0) for _, other in pairs)
        largest = float(max(each))
        is_real = all(other.dtype.kind in "fc" for _, other in pairs)
        off = gaps > (_CLOSE * largest if is_real else 0.0)
        if off.sum() > (0 if exact else int(_FEW * len(off))):
            return (
                f"its output {name!r} differs from the module's by up to {gaps.max():.3g}, where "
                f"values go up to {largest:.3g}, for {off.sum()} of {len(off)} samples"
            )
    return ""


def _gaps(one: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """The largest difference in each sample; in all of them if the first axis is another."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(one.astype(np.complex128) - other.astype(np.complex128))
    same = (one == other) | ((one != one) & (other != other))
    gap = np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap))
    rows = gap.reshape(size, -1) if gap.ndim and len(gap) == size else gap.reshape(1, -1)
    largest: np.ndarray = rows.max(axis=1, initial=0.0)
    return largest
