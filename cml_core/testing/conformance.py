"""check_op: an operator's examples, each along every leg from float to encryption.

The legs are `float` (against the expected outputs, or against the `onnx` package's reference),
`calibration` (the hook accepts what it will see), `integers` (clear integers within the example's
tolerance of float), `saving` (a stored module gives the same integers), `simulation` and
`encryption` (the compiled circuit gives exactly the clear integers).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import onnx.reference

from cml_core.calibration.run import calibrate
from cml_core.errors import CmlError
from cml_core.fhe.backend import FheOptions
from cml_core.numpy_module import NumpyModule
from cml_core.ops.example import OpExample
from cml_core.ops.plugin import OpPlugin
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.module import QuantizedModule, quantize
from cml_core.testing.models import example_model, input_name

__all__ = ["LEGS", "CheckResult", "ConformanceError", "check_example", "check_op"]


#: Domains whose operators the `onnx` package implements.
_REFERENCED = frozenset({"", "ai.onnx.ml"})


@attrs.define(eq=False, slots=False)
class ConformanceError(CmlError):
    """An operator does not do what its plugin says."""

    operator: str
    example: str
    leg: str
    reason: str

    def message(self) -> str:
        """Say which example, which leg, and what came in place of what was expected."""
        return f"{self.operator}, example {self.example!r}, {self.leg}: {self.reason}"


@attrs.frozen(slots=True)
class CheckResult:
    """One example along one leg: `status` is "passed", "skipped" or "failed"."""

    operator: str
    example: str
    leg: str
    status: str
    reason: str = ""


@attrs.define(slots=True, eq=False)
class _Trial:
    """One example on its way; what an earlier leg made, a later one uses."""

    plugin: OpPlugin
    example: OpExample
    registry: OpRegistry
    options: FheOptions
    _quantized: QuantizedModule | None = attrs.field(default=None, init=False)
    _circuit: Any = attrs.field(default=None, init=False)

    def module(self, clear: Iterable[int] | None = None) -> NumpyModule:
        return NumpyModule.from_onnx(
            example_model(self.plugin, self.example, clear), registry=self.registry
        )

    def feeds(self, places: Iterable[int]) -> dict[str, np.ndarray]:
        inputs = self.example.inputs
        return {input_name(k): inputs[k].copy() for k in places if inputs[k] is not None}  # type: ignore[union-attr]

    def encrypted_feeds(self) -> dict[str, np.ndarray]:
        return self.feeds(self.example.encrypted)

    def quantized(self) -> QuantizedModule:
        if self._quantized is None:
            config = QuantConfig.with_bits(self.example.n_bits, tail="server", margin=0.0)
            self._quantized = quantize(self.module(), self.encrypted_feeds(), config)
        return self._quantized

    @property
    def is_encrypted(self) -> bool:
        """Whether a circuit would have anything to compute."""
        return bool(self.quantized().program.outputs)

    def circuit(self) -> Any:
        if self._circuit is None:
            self._circuit = self.quantized().compile(self.options)
        return self._circuit


def check_op(
    plugin: OpPlugin,
    *,
    legs: Iterable[str] | None = None,
    options: FheOptions | None = None,
    registry: OpRegistry | None = None,
) -> tuple[CheckResult, ...]:
    """Check every example of a plugin along every leg.

    Parameters
    ----------
    plugin : OpPlugin
        What to check.
    legs : iterable of str, optional
        Which of `LEGS`; by default all.
    options : FheOptions, optional
        For the circuits of the last two legs.
    registry : OpRegistry, optional
        By default one that holds this plugin alone.

    Raises
    ------
    ConformanceError
        For the first leg that fails: the example, what was expected and what came.
    """
    if not plugin.examples:
        raise ConformanceError(plugin.schema.op_type, "", "float", "the plugin has no examples")
    results: list[CheckResult] = []
    for example in plugin.examples:
        for result in check_example(plugin, example, legs=legs, options=options, registry=registry):
            if result.status == "failed":
                raise ConformanceError(result.operator, result.example, result.leg, result.reason)
            results.append(result)
    return tuple(results)


def check_example(
    plugin: OpPlugin,
    example: OpExample,
    *,
    legs: Iterable[str] | None = None,
    options: FheOptions | None = None,
    registry: OpRegistry | None = None,
) -> tuple[CheckResult, ...]:
    """Check one example; a leg that fails is reported, and the later ones are skipped."""
    if registry is None:
        name = f"{plugin.schema.op_type} under test"
        alone = attrs.evolve(plugin, overrides=None)
        registry = OpRegistry.from_plugins([LoadedPlugin(name, provides=alone)])
    trial = _Trial(plugin, example, registry, options or FheOptions())
    label = example.name or f"example {_place(plugin, example)}"
    results: list[CheckResult] = []
    blocked = ""
    for leg in LEGS if legs is None else legs:
        reason = blocked
        if leg not in ("float", "calibration") and plugin.quantized_op is None:
            reason = "the plugin is float only"
        elif leg != "float" and not example.encrypted:
            reason = "the example encrypts nothing"
        if reason:
            results.append(CheckResult(plugin.schema.op_type, label, leg, "skipped", reason))
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if leg in ("simulation", "encryption") and not trial.is_encrypted:
                    reason = "no output depends on an encrypted value"
                    results.append(
                        CheckResult(plugin.schema.op_type, label, leg, "skipped", reason)
                    )
                    continue
                _LEGS[leg](trial)
        except Exception as error:
            reason = str(error) or type(error).__name__
            blocked = f"{leg} failed"
            results.append(CheckResult(plugin.schema.op_type, label, leg, "failed", reason))
        else:
            results.append(CheckResult(plugin.schema.op_type, label, leg, "passed"))
    return tuple(results)


def _place(plugin: OpPlugin, example: OpExample) -> int:
    return next((k for k, other in enumerate(plugin.examples) if other is example), 0)


def _float(trial: _Trial) -> None:
    example = trial.example
    places = range(len(example.inputs))
    feeds = trial.feeds(places)
    results = list(trial.module(clear=()).run(feeds).values())
    for name, value in trial.feeds(places).items():
        if not np.array_equal(feeds[name], value, equal_nan=value.dtype.kind == "f"):
            raise ValueError(f"the float reference changed its input {name}")
    expected = example.outputs
    if expected is None and trial.plugin.schema.domain not in _REFERENCED:
        raise ValueError(
            "the example states no outputs, and the onnx package has no reference for this operator"
        )
    if expected is None:
        model = example_model(trial.plugin, example, clear=())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = onnx.reference.ReferenceEvaluator(model)
            expected = tuple(evaluator.run(None, trial.feeds(places)))  # type: ignore[arg-type]
    for place, (got, want) in enumerate(zip(results, expected, strict=False)):
        if want is None:
            continue
        if got.dtype != want.dtype or got.shape != want.shape:
            raise ValueError(
                f"output {place} is {got.dtype}{list(got.shape)}, "
                f"expected {want.dtype}{list(want.shape)}"
            )
        if got.dtype.kind in "fcV":
            kind = np.complex128 if got.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(got.astype(kind), want.astype(kind), rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(got, want)


def _calibration(trial: _Trial) -> None:
    calibrate(trial.module(), trial.encrypted_feeds())


def _integers(trial: _Trial) -> None:
    feeds = trial.encrypted_feeds()
    wanted = trial.module().run(feeds)
    for name, got in trial.quantized().run(feeds).items():
        want = wanted[name]
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ValueError(
                f"{name} is {got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}"
            )
        if want.size == 0:
            continue
        real = want.astype(np.float64)
        span = float(real.max() - real.min()) or max(1.0, float(np.abs(real).max()))
        error = float(np.abs(got.astype(np.float64) - real).max()) / span
        if not error <= trial.example.tolerance:
            raise ValueError(
                f"{name} is off by {error:.3f} of its range, the example allows "
                f"{trial.example.tolerance}: got {got.tolist()}, expected {want.tolist()}"
            )


def _saving(trial: _Trial) -> None:
    feeds = trial.encrypted_feeds()
    wanted = trial.quantized().run(feeds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.cml"
        trial.quantized().save(path)
        loaded = QuantizedModule.load(path, registry=trial.registry)
    _same(loaded.run(feeds), wanted)


def _simulation(trial: _Trial) -> None:
    feeds = trial.encrypted_feeds()
    _same(trial.circuit().simulate(feeds), trial.quantized().run(feeds))


def _encryption(trial: _Trial) -> None:
    feeds = trial.encrypted_feeds()
    trial.circuit().keygen()
    _same(trial.circuit().run(feeds), trial.quantized().run(feeds))


def _same(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    for name, want in wanted.items():
        np.testing.assert_array_equal(got[name], want, err_msg=name)


_LEGS: Mapping[str, Callable[[_Trial], None]] = MappingProxyType(
    {
        "float": _float,
        "calibration": _calibration,
        "integers": _integers,
        "saving": _saving,
        "simulation": _simulation,
        "encryption": _encryption,
    }
)
#: The names of the legs, in order.
LEGS = tuple(_LEGS)
