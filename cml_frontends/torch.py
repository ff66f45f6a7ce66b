"""PyTorch modules as ONNX models, and compiled in one call. Importing this imports no PyTorch."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
import onnx

from cml_core.errors import ConfigError, ExporterError, ModelFileError
from cml_core.fhe.backend import FheOptions
from cml_core.plugins.hookspecs import hookimpl
from cml_core.plugins.importer import Importer
from cml_core.quantization.config import QuantConfig
from cml_frontends.compiled import CompiledModel
from cml_frontends.optional import require
from cml_frontends.torch_check import ControlFlowWarning, difference, has_open_batch, leaves
from cml_frontends.torch_samples import SampleInputs, bind_samples, unwrap

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ControlFlowWarning", "Exporter", "compile_torch_model", "torch_to_onnx"]

Exporter = Literal["auto", "dynamo", "torchscript"]

_BATCH = "batch"
_CONTROL_FLOW = (
    "Control flow that depends on data cannot be exported: the model goes one way for all samples. "
    "torch.where chooses by values without it."
)


@attrs.frozen(slots=True)
class _Exported:
    """A model, and what its exporter could not follow: values that Python took from tensors."""

    model: onnx.ModelProto
    told: tuple[str, ...] = ()


#: `export(torch, module, samples, dynamic, names)`.
Exporting = Callable[[Any, "nn.Module", SampleInputs, bool, Mapping[str, Any]], _Exported]


def compile_torch_model(
    module: nn.Module,
    inputset: Any,
    config: QuantConfig | None = None,
    *,
    n_bits: int | None = None,
    exporter: Exporter = "auto",
    options: FheOptions | None = None,
    compile: bool = True,
) -> CompiledModel:
    """Export a PyTorch module, quantize it and compile it.

    Parameters
    ----------
    module : torch.nn.Module
        A trained network; it is not changed.
    inputset : array, tensor, tuple of these, or mapping
        Representative samples for each input, positionally or by the names of forward's
        parameters: they calibrate the quantization.
    config : QuantConfig, optional
        All choices of quantization.
    n_bits : int, optional
        One bit width for inputs, weights and activations, in place of `config`.
    exporter : {"auto", "dynamo", "torchscript"}
        As in `torch_to_onnx`. Where its other choices are needed, give what it returns to
        `compile_onnx_model`.
    options : FheOptions, optional
        How the circuit is compiled.
    compile : bool
        Stop after quantization if False; `CompiledModel.compile` goes on from there.

    Raises
    ------
    CmlError
        What `torch_to_onnx`, `quantize` and `QuantizedModule.compile` raise.
    """
    model = torch_to_onnx(module, inputset, exporter=exporter)
    samples = bind_samples(require("torch", "torch"), module, inputset)
    kept = {spec.name for spec in model.graph.input}  # an exporter may drop what is not used
    arrays = {
        name: tensor.numpy()
        for name, tensor in zip(samples.names, samples.tensors, strict=True)
        if name in kept
    }
    return CompiledModel.from_onnx(
        model, arrays, config, n_bits=n_bits, options=options, compile=compile
    )


def torch_to_onnx(
    module: nn.Module,
    sample_inputs: Any,
    *,
    exporter: Exporter = "auto",
    opset: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_batch: bool = True,
) -> onnx.ModelProto:
    """Export a PyTorch module, in evaluation mode and in float32, to ONNX.

    The exporters work on a copy of the module, on the CPU; the module itself is not changed. The
    model is compared with the module on all sample inputs, unless cml cannot run it or the module
    does not repeat itself.

    Parameters
    ----------
    module : torch.nn.Module
        A network.
    sample_inputs : array, tensor, tuple of these, or mapping
        One or more samples for each input, positionally or by the names of forward's parameters.
    exporter : {"auto", "dynamo", "torchscript"}
        Which of PyTorch's exporters to use: the newer one, the one on TorchScript, or the second
        where the first fails.
    opset : int, optional
        Opset of the ONNX model, by default the exporter's own.
    input_names : sequence of str, optional
        Names of the model's inputs, by default those of forward's parameters.
    output_names : sequence of str, optional
        Names of the model's outputs, by default `output`, or `output_0`, `output_1` …
    dynamic_batch : bool
        Leave the batch size open: the first axis of every input that has as many samples there
        as the first input. Where that cannot be exported, the batch size is one. If False,
        shapes are those of the sample inputs: for networks whose first axis counts something
        else, such as the steps of a sequence.

    Raises
    ------
    ModelFileError
        The object is not a PyTorch module.
    InputError
        The sample inputs do not fit forward's parameters, or are not arrays of numbers.
    ExporterError
        The module fails on the sample inputs, or no exporter gives a model that computes the same
        on them.
    MissingLibraryError
        PyTorch is not installed.

    Warns
    -----
    ControlFlowWarning
        The module decides in Python by what a tensor holds, and all samples go the same way.
    """
    if exporter not in get_args(Exporter):
        choices = ", ".join(map(repr, get_args(Exporter)))
        raise ConfigError("exporter", exporter, f"one of {choices}")
    torch = require("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise ModelFileError(f"a {type(module).__name__}", "it is not a torch.nn.Module")
    samples = bind_samples(torch, module, sample_inputs)
    source = f"the PyTorch module {type(module).__name__}"
    with _silence():
        try:
            module = _copy(torch, module)
            outputs = leaves(samples.run(torch, module))
        except Exception as error:
            raise ExporterError(
                source, (("copied and run on the sample inputs", _reason(error)),)
            ) from error
        names: dict[str, Any] = {
            "input_names": list(input_names or samples.names),
            "output_names": list(output_names or _output_names(len(outputs))),
            "opset_version": opset,
        }
        chosen = {n: e for n, e in _EXPORTERS.items() if exporter in ("auto", n)}
        exported = _search(torch, module, samples, dynamic_batch, names, chosen, source)
    branches = [place for place in exported.told if "Python boolean" in place]
    if branches:
        warnings.warn(
            f"{source} decides in Python by what a tensor holds ({branches[0]}). The exported "
            "model always goes the way that the samples went which it was exported with.",
            ControlFlowWarning,
            stacklevel=2,
        )
    return exported.model


def _search(
    torch: Any,
    module: nn.Module,
    samples: SampleInputs,
    dynamic_batch: bool,
    names: Mapping[str, Any],
    exporters: Mapping[str, Exporting],
    source: str,
) -> _Exported:
    """The first of all attempts that gives a model which computes what the module does."""
    attempts = (
        [(samples.with_batch(torch, 2), True), (samples.with_batch(torch, 1), False)]
        if dynamic_batch
        else [(samples, False)]
    )
    failures: dict[str, str] = {}
    hint = "PyTorch documents what its exporters take; torch_to_onnx(…, exporter=…) chooses one."
    for name, export in exporters.items():
        for traced, dynamic in attempts:
            inputs = names["input_names"]
            try:
                found = export(torch, module, traced, dynamic, names)
                if dynamic and not has_open_batch(found.model, inputs, traced):
                    failures[f"{name} exporter"] = "it takes the batch size for a constant"
                    continue
                reason = difference(
                    torch,
                    module,
                    found.model,
                    inputs,
                    samples,
                    traced,
                    dynamic=dynamic,
                    exact=bool(found.told),
                )
            except Exception as error:
                failures[f"{name} exporter"] = _reason(error)
                continue
            if not reason:
                return found
            failures[f"{name} exporter"] = "; ".join([reason, *found.told])
            hint = _CONTROL_FLOW
    raise ExporterError(source, tuple(failures.items()), hint)


@hookimpl
def cml_importer() -> Importer:
    """Give PyTorch modules to `NumpyModule.from_model` and `from_torch`."""
    return Importer("torch", _is_module, torch_to_onnx)


def _is_module(model: Any) -> bool:
    classes = type(model).__mro__
    return any(c.__name__ == "Module" and c.__module__.startswith("torch.nn.") for c in classes)


def _dynamo(
    torch: Any, module: nn.Module, samples: SampleInputs, dynamic: bool, names: Mapping[str, Any]
) -> _Exported:
    known = inspect.signature(torch.onnx.export).parameters
    if "dynamic_shapes" not in known or importlib.util.find_spec("onnxscript") is None:
        raise NotImplementedError("it needs PyTorch 2.5 and onnxscript: pip install 'cml[torch]'")
    batch = torch.export.Dim(_BATCH)
    shapes = tuple({0: batch} if batched else {} for batched in samples.batched)
    program = torch.onnx.export(
        module,
        samples.args,
        kwargs=samples.kwargs,
        dynamo=True,
        dynamic_shapes=shapes if dynamic else None,
        verbose=False,
        **names,
    )
    return _Exported(program.model_proto)


def _torchscript(
    torch: Any, module: nn.Module, samples: SampleInputs, dynamic: bool, names: Mapping[str, Any]
) -> _Exported:
    inputs = zip(names["input_names"], samples.batched, strict=True)
    axes = {name: {0: _BATCH} for name, batched in inputs if batched}
    has_choice = "dynamo" in inspect.signature(torch.onnx.export).parameters
    file = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        # A trace that took Python values from tensors may hold for this batch size alone, or for
        # these samples. In PyTorch's own modules these are checks of shapes and no harm.
        warnings.simplefilter("error" if dynamic else "always", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", module=r"(.*[/\\])?torch[./\\]")
        torch.onnx.export(
            module,
            (*samples.args, samples.kwargs) if samples.kwargs else samples.args,
            file,
            dynamic_axes=axes if dynamic else None,
            **({"dynamo": False} if has_choice else {}),
            **names,
        )
    told = dict.fromkeys(_place(w) for w in caught if w.category is torch.jit.TracerWarning)
    return _Exported(onnx.load_model_from_string(file.getvalue()), tuple(told))


def _place(warning: warnings.WarningMessage) -> str:
    """What a trace could not follow, and where."""
    what = str(warning.message).partition(" might cause")[0]
    return f"{what} (line {warning.lineno} of {Path(warning.filename).name})"


_EXPORTERS: Mapping[str, Exporting] = {"dynamo": _dynamo, "torchscript": _torchscript}


def _copy(torch: Any, module: nn.Module) -> nn.Module:
    """Copy a module for evaluation, in float32 on the CPU."""
    module = unwrap(torch, module)
    # Tensors that were computed and kept, such as weights under weight_norm, refuse to be copied.
    computed = {
        id(value): value.detach()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, computed).eval().to("cpu", torch.float32)


def _output_names(count: int) -> list[str]:
    return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what the exporters print, log and warn of from the terminal."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _reason(error: BaseException) -> str:
    """What went wrong at first, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    line = text.partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
