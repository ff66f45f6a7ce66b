"""QuantizedModule: a model computed on integers only."""

from __future__ import annotations

import contextlib
import difflib
import os
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import onnx

from cml_core.calibration.observers import needs_bits
from cml_core.calibration.run import A_MODULE, calibrate
from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import (
    ConfigError,
    DamagedFileError,
    InvalidModelError,
    ModelFileError,
    NodeError,
    UnsupportedNodesError,
)
from cml_core.feeds import bind_arguments, unpack
from cml_core.numpy_module import NumpyModule
from cml_core.plugins.registry import OpRegistry
from cml_core.program.execute import Overflow, run_program
from cml_core.program.instructions import Program
from cml_core.program.storage import program_from_parts, program_to_parts
from cml_core.quantization.client import ClientSide
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.diagnosis import Diagnosis, diagnosis_from_parts
from cml_core.quantization.export import integers_to_onnx, module_to_onnx
from cml_core.quantization.lowering import lower
from cml_core.quantization.report import ProgramReport, report_program
from cml_core.quantization.storage import client_from_parts, client_to_parts
from cml_core.samples import count_samples
from cml_core.storage import read_archive, write_archive, write_file
from cml_core.telling import tell

if TYPE_CHECKING:
    from cml_core.fhe.backend import FheOptions
    from cml_core.fhe.circuit import FheCircuit

__all__ = ["OverflowWarning", "QuantizedModule", "quantize"]


class OverflowWarning(UserWarning):
    """Integers left the range seen in calibration; on encrypted data the result would be wrong."""


@attrs.frozen(slots=True, eq=False)
class QuantizedModule:
    """A quantized model: integers inside, floats outside.

    Parameters
    ----------
    program : Program
        What the server computes.
    client : ClientSide
        How inputs become integers and integers become outputs.
    diagnosis : Diagnosis
        What was measured on calibration data: accuracy by node, and how safe the ranges are.
    """

    program: Program
    client: ClientSide
    diagnosis: Diagnosis = attrs.field(factory=Diagnosis)

    def __call__(self, *arrays: Any) -> Any:
        """Run on positional arrays; return one array, or a tuple when there are several outputs.

        Raises
        ------
        InputError
            An input is missing, one too many, or of the wrong shape or dtype.
        """
        return unpack(self.run(bind_arguments(self.client.layout.inputs, arrays)))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run by name: quantize, compute on integers, dequantize.

        Raises
        ------
        InputError
            An input is missing, unknown, or of the wrong shape or dtype.
        """
        integers = self.client.encode(inputs)
        return self.client.decode(self._run(*integers), count_samples(integers))

    def quantize_inputs(self, inputs: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
        """Integers for the program, int64 samples of shape `(N, *S)` for each input.

        Values outside the calibrated range saturate, with a `SaturationWarning`.
        """
        return tuple(array.astype(np.int64) for array in self.client.encode(inputs))

    def _forward(self, *integers: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the integer program on samples `(N, *S)`; warn where a range is left."""
        return tuple(array.astype(np.int64) for array in self._run(*integers))

    def _run(self, *integers: np.ndarray) -> tuple[np.ndarray, ...]:
        """As `_forward`, but the integers that it returns may be held as floats."""
        overflows: list[Overflow] = []
        results = tuple(run_program(self.program, integers, overflows))
        for overflow in overflows:
            tell(
                f"{overflow.samples} samples left the range [{overflow.low}, {overflow.high}] "
                f"that node {overflow.node!r} was calibrated for; encrypted, their results would "
                'be wrong. Calibrate on more data, raise margin, or use ranges="proven"',
                OverflowWarning,
            )
        return results

    def dequantize_outputs(self, *integers: np.ndarray) -> dict[str, np.ndarray]:
        """The model's outputs from the program's integers, the model's tail included."""
        return self.client.decode(integers)

    def report(self) -> ProgramReport:
        """Bit widths, lookups, predicted cost and accuracy, node by node."""
        return report_program(self.program, self.diagnosis)

    def compile(self, options: FheOptions | None = None, **changes: Any) -> FheCircuit:
        """Compile the program to a circuit on encrypted integers.

        Parameters
        ----------
        options : FheOptions, optional
            Compiler, failure probability and so on.
        changes
            Fields of `FheOptions` to set.

        Raises
        ------
        BackendUnavailableError
            No compiler is installed.
        BitWidthError
            Some integers are too wide for the compiler; all such nodes are listed.
        CircuitError
            The compiler refused the circuit.
        """
        from cml_core.fhe.circuit import FheCircuit

        return FheCircuit.compile(self, options, **changes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the module to a `.cml` file, whole or not at all."""
        write_archive(path, self.to_parts())

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, registry: OpRegistry | None = None
    ) -> QuantizedModule:
        """Read a module from a `.cml` file.

        Raises
        ------
        StoredFileError
            The file is missing, damaged, or written by a newer cml.
        """
        return cls.from_parts(read_archive(path), path, registry)

    def to_onnx(
        self, path: str | os.PathLike[str] | None = None, *, integers: bool = False
    ) -> onnx.ModelProto:
        """Return the module as an ONNX model of standard operators; write it to a file if asked.

        It has the float model's inputs and outputs, and computes on the same integers as this
        module does; the values that it returns differ by rounding in the model's tail alone.

        Parameters
        ----------
        path : path, optional
            Where to write it, whole or not at all.
        integers : bool
            Export the integer program alone: it takes what `quantize_inputs` gives and returns
            what `dequantize_outputs` takes.

        Raises
        ------
        ExportError
            The model's tail cannot be part of it.
        OutputFileError
            The file cannot be written.
        """
        export = integers_to_onnx if integers else module_to_onnx
        model = export(self.program, self.client)
        if path is not None:
            write_file(path, model.SerializeToString())
        return model

    def to_parts(self) -> dict[str, bytes]:
        """The module as named parts of a `.cml` file."""
        return {
            **program_to_parts(self.program),
            **client_to_parts(self.client),
            **self.diagnosis.to_parts(),
        }

    @classmethod
    def from_parts(
        cls,
        parts: Mapping[str, bytes],
        path: str | os.PathLike[str],
        registry: OpRegistry | None = None,
    ) -> QuantizedModule:
        """Read a module back from the parts of a `.cml` file."""
        from pathlib import Path

        try:
            module = cls(
                program_from_parts(parts),
                client_from_parts(parts, path, registry),
                diagnosis_from_parts(parts),
            )
            module._try()
        except (ModelFileError, InvalidModelError, UnsupportedNodesError):
            raise
        except Exception as error:
            reason = f"does not hold a quantized model ({type(error).__name__}: {error})"
            raise DamagedFileError(Path(path), reason, "Compile the model again.") from error
        return module

    def _try(self) -> None:
        """Compute one sample of zeros: what a file holds fits together, or raises something."""
        layout, sizes = self.client.layout, {code.name: code.shape for code in self.client.inputs}
        for spec in layout.inputs:
            known = tuple(size if isinstance(size, int) else 1 for size in spec.shape or (1,))
            sizes.setdefault(spec.name, known)
        kinds = {spec.name: spec.dtype or np.float32 for spec in layout.inputs}
        samples = {name: np.zeros((1, *size), kinds[name]) for name, size in sizes.items()}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A tail that cannot compute zeros, say divides by them, is none the worse.
            with contextlib.suppress(NodeError):
                self.run(next(layout.batches(samples, 1)))
            self.report()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes get what a file would hold."""
        return _from_parts, (self.to_parts(),)

    def __repr__(self) -> str:
        report = self.report()
        return (
            f"<QuantizedModule: {len(self.program.instructions)} instructions, "
            f"{report.lookups} lookups, at most {report.max_bit_width} bits>"
        )


def _from_parts(parts: Mapping[str, bytes]) -> QuantizedModule:
    return QuantizedModule.from_parts(parts, "a copy")


def quantize(
    module: NumpyModule,
    calibration_data: Any,
    config: QuantConfig | None = None,
    *,
    n_bits: int | None = None,
) -> QuantizedModule:
    """Quantize a model after training, from representative data.

    Parameters
    ----------
    module : NumpyModule
        The float model.
    calibration_data : array, tuple of arrays, mapping or CalibrationStats
        Samples for each input, positionally or by name, or what `calibrate` returned for them.
    config : QuantConfig, optional
        All choices.
    n_bits : int, optional
        One bit width for inputs, weights and activations, in place of `config`. Without either,
        `QuantConfig()` decides: exact rounding, within half a point of float on the benchmark's
        networks.

    Raises
    ------
    ConfigError
        A bit width or another option is not possible.
    CalibrationError
        There is no data, or it holds NaN or infinite values.
    UnsupportedNodesError
        Nodes have no quantized form; all are listed.
    """
    if config is not None and n_bits is not None:
        raise ConfigError("n_bits", n_bits, "either n_bits or a QuantConfig, not both")
    if config is None:
        config = QuantConfig() if n_bits is None else QuantConfig.with_bits(n_bits)
    elif not isinstance(config, QuantConfig):
        raise ConfigError("config", config, "a QuantConfig; for a bit width write n_bits=…")
    if not isinstance(module, NumpyModule):
        raise ConfigError("module", type(module).__name__, A_MODULE)
    whole, module = module, module.expanded
    _check_nodes(config, {bound.name for m in (whole, module) for bound in m.graph.nodes})
    if isinstance(calibration_data, CalibrationStats):
        stats = calibration_data
        _check_stats(stats, config, module)
    else:
        stats = calibrate(
            module, calibration_data, observer=config.observer, n_bits=config.activation_bits
        )
    lowered = lower(module, stats, config)
    return QuantizedModule(lowered.program, lowered.client, lowered.diagnosis)


def _check_stats(stats: CalibrationStats, config: QuantConfig, module: NumpyModule) -> None:
    """Refuse statistics of another model, or taken otherwise than the configuration asks for."""
    if stats.digest != module.digest:
        expected = "the statistics of this model, or samples"
        raise ConfigError("calibration_data", "statistics of another model", expected)
    if stats.observer != config.observer:
        expected = f"{stats.observer!r}, with which the statistics were taken, or samples"
        raise ConfigError("observer", config.observer, expected)
    if needs_bits(stats.observer) and stats.bits != config.activation_bits:
        expected = f"{stats.bits}, for which {stats.observer!r} took the statistics, or samples"
        raise ConfigError("activation_bits", config.activation_bits, expected)


def _check_nodes(config: QuantConfig, known: Collection[str]) -> None:
    """Refuse options for nodes that are not there."""
    for name in config.nodes:
        if name not in known:
            near = difflib.get_close_matches(name, known)
            hint = f"; {' or '.join(map(repr, near))} is near" if near else ""
            expected = f"names of nodes that depend on the model's inputs{hint}"
            raise ConfigError("nodes", name, expected)
