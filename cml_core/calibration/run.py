"""The calibration run: a NumpyModule on representative data, every tensor observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cml_core.calibration.agreement import agreed_grids
from cml_core.calibration.pullback import input_cuts
from cml_core.calibration.stats import CalibrationRecorder, CalibrationStats
from cml_core.errors import CalibrationError, ConfigError, NodeError
from cml_core.feeds import bind_arguments
from cml_core.graph.bound import BoundGraph, BoundNode, run_numpy_op
from cml_core.interpreter import interpret
from cml_core.numpy_module import NumpyModule
from cml_core.samples import SampleLayout

__all__ = ["A_MODULE", "calibrate"]

#: What is expected where no model was given.
A_MODULE = "a NumpyModule; NumpyModule.from_onnx makes one of a file or a ModelProto"

#: Samples per float run; bounds the memory that intermediate tensors take.
_CHUNK = 256


def calibrate(
    module: NumpyModule, data: Any, *, observer: str = "minmax", n_bits: int = 8
) -> CalibrationStats:
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
    n_bits : int
        Width of the integers that the observer has in mind.

    Raises
    ------
    CalibrationError
        There is no data, or it holds NaN or infinite values.
    InputError
        The data does not fit the model's inputs.
    NodeError
        An operator or its calibration hook failed.
    """
    if not isinstance(module, NumpyModule):
        raise ConfigError("module", type(module).__name__, A_MODULE)
    module = module.expanded
    layout = SampleLayout(module.inputs, module.outputs)
    samples = layout.split(_by_name(module, data))
    _check(samples)
    # The caller may use the memory for something else before the model is quantized.
    samples = {name: array.copy() for name, array in samples.items()}
    for array in samples.values():
        array.flags.writeable = False
    graph = module.graph
    recorder = CalibrationRecorder(observer, n_bits)
    for feeds in layout.batches(samples, _CHUNK):
        _observe(graph, feeds, recorder)
    cuts = {}
    if recorder.cuts:
        # What is asked of a sample is said of one sample.
        asked = CalibrationRecorder(observer, n_bits)
        for feeds in layout.batches({name: array[:1] for name, array in samples.items()}, 1):
            _observe(graph, feeds, asked)
        cuts = input_cuts(graph, layout, samples, asked.cuts)
    grids = agreed_grids(graph, recorder.proposals)
    return recorder.finish(samples, grids, cuts, module.digest)


def _observe(
    graph: BoundGraph, feeds: Mapping[str, np.ndarray], recorder: CalibrationRecorder
) -> None:
    """Run the model once and let the recorder and all calibration hooks see it."""

    def evaluate(bound: BoundNode, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs = run_numpy_op(bound, tensors)
        for name, value in zip(bound.node.outputs, outputs, strict=False):
            if name and isinstance(value, np.ndarray):
                recorder.observe(name, value)
        hook = bound.plugin.calibration_hook
        if hook is not None:
            recorder.turn_to(bound.name, bound.node.inputs, graph.constants)
            try:
                hook(recorder, _read_only(tensors), _read_only(outputs), bound.attributes)
            except (Exception, SystemExit) as error:
                reason = f"its calibration hook raised {type(error).__name__}: {error}".rstrip(".")
                raise NodeError(bound.name, bound.key.op_type, reason) from error
        return outputs

    for name, value in feeds.items():
        recorder.observe(name, value)
    interpret(graph.nodes, {**graph.constants, **feeds}, (), evaluate)


def _read_only(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors as hooks see them: the nodes that follow read the same memory."""
    seen = []
    for tensor in tensors:
        if isinstance(tensor, np.ndarray):
            tensor = tensor.view()
            tensor.flags.writeable = False
        seen.append(_read_only(tensor) if isinstance(tensor, tuple) else tensor)
    return tuple(seen)


def _by_name(module: NumpyModule, data: Any) -> Mapping[str, Any]:
    if isinstance(data, Mapping):
        return data
    arrays = data if isinstance(data, tuple) else (data,)
    return bind_arguments(module.inputs, arrays)


def _check(samples: Mapping[str, np.ndarray]) -> None:
    for name, array in samples.items():
        if len(array) == 0:
            raise CalibrationError(
                name, "is empty", "Give some samples that look like the model's real inputs."
            )
        if array.dtype.kind in "fcV" and not np.isfinite(array).all():
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            raise CalibrationError(
                name,
                f"holds NaN or infinite values in {int(bad.sum())} of {len(array)} samples "
                f"(the first is number {int(np.argmax(bad))})",
                "Remove or repair them.",
            )
