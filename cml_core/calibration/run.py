"""The calibration run: a NumpyModule on representative data, every tensor observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cml_core.calibration.stats import CalibrationRecorder, CalibrationStats
from cml_core.errors import CalibrationError
from cml_core.feeds import bind_arguments
from cml_core.graph.bind import BoundNode, run_numpy_op
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.samples import SampleLayout, count_samples

__all__ = ["calibrate"]

#: Samples per float run; bounds the memory that intermediate tensors take.
_CHUNK = 256


def calibrate(module: NumpyModule, data: Any, *, observer: str = "minmax") -> CalibrationStats:
    """Run a model on representative data and learn the range of every tensor.

    Parameters
    ----------
    module : NumpyModule
        The model.
    data : array, tuple of arrays or mapping
        Samples for each input, positionally or by name. About a hundred are enough for most
        models; they should look like the data that the model will meet.
    observer : str
        Which observer decides a tensor's range.

    Raises
    ------
    CalibrationError
        There is no data, or it holds NaN or infinite values.
    InputError
        The data does not fit the model's inputs.
    """
    layout = SampleLayout(module.inputs, module.outputs)
    samples = layout.split(_by_name(module, data))
    _check(samples)
    recorder = CalibrationRecorder(observer)

    def evaluate(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs = run_numpy_op(bound, tensors)
        for name, value in zip(bound.node.outputs, outputs, strict=False):
            if name and isinstance(value, np.ndarray):
                recorder.observe(name, value)
        hook = bound.plugin.calibration_hook
        if hook is not None:
            recorder.turn_to(bound.name)
            hook(recorder, tensors, outputs, bound.attributes)
        return outputs

    graph = module.graph
    for feeds in _batches(layout, samples):
        for name, value in feeds.items():
            recorder.observe(name, value)
        interpret(graph.nodes, {**graph.constants, **feeds}, (), evaluate)
    return recorder.finish(samples)


def _by_name(module: NumpyModule, data: Any) -> Mapping[str, Any]:
    if isinstance(data, Mapping):
        return data
    arrays = data if isinstance(data, tuple) else (data,)
    return bind_arguments(module.inputs, arrays)


def _check(samples: Mapping[str, np.ndarray]) -> None:
    for name, array in samples.items():
        if array.size == 0:
            raise CalibrationError(
                name, "is empty", "Give some samples that look like the model's real inputs."
            )
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            raise CalibrationError(
                name,
                f"holds NaN or infinite values in {int(bad.sum())} of {len(array)} samples "
                f"(the first is number {int(np.argmax(bad))})",
                "Remove or repair them.",
            )


def _batches(layout: SampleLayout, samples: Mapping[str, np.ndarray]) -> Any:
    """Feeds for float runs: many samples at once where the batch size is open, else one by one."""
    total = count_samples(samples)
    counted = {s.name for s in layout.inputs if s.shape is None or s.has_batch_axis}
    step = _CHUNK if layout.batched else 1
    for start in range(0, total, step):
        yield {
            name: array[start : start + step, 0]
            if layout.batched and name in counted
            else array[start]
            for name, array in samples.items()
        }
