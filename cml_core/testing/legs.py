"""The legs of the conformance kit: what is checked of an example, step by step.

- `float`: the float reference against the expected outputs, or against the `onnx` package's.
- `calibration`: the operator and its calibration hook run on calibration data.
- `integers`: clear integers are within the example's tolerance of float.
- `widths`: as many lookups, and no wider, as the example declares.
- `saving`: a stored module gives the same integers.
- `simulation`: the compiled circuit has the program's widths, and gives exactly the clear integers.
- `encryption`: and so it does on encrypted values.

The first three leave their inputs untouched.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import onnx.reference

from cml_core.calibration.run import calibrate
from cml_core.errors import NodeError
from cml_core.fhe.backend import installed_backends
from cml_core.fhe.widths import circuit_width
from cml_core.quantization.module import QuantizedModule
from cml_core.testing.failure import Difference
from cml_core.testing.models import example_model
from cml_core.testing.trial import Trial, untouched

__all__ = ["LEGS", "walk", "why_not"]

#: Domains whose operators the `onnx` package implements.
_REFERENCED = frozenset({"", "ai.onnx.ml"})
#: Legs for plugins without a quantized form too.
_FLOAT = ("float", "calibration")
#: Legs that need a compiler.
_COMPILED = ("simulation", "encryption")


def why_not(trial: Trial, leg: str) -> str:
    """Say why a leg does not apply to an example; empty if it does."""
    example = trial.example
    if trial.failed:
        return f"{trial.failed} failed"
    if leg not in _FLOAT and not trial.plugin.quantized:
        return "the plugin is float only"
    if leg != "float" and not example.encrypted:
        return "the example encrypts nothing"
    if leg == "widths" and example.max_bits is None and example.lookups is None:
        return "the example declares no widths"
    if leg in _COMPILED:
        if trial.options.backend is None and not installed_backends():
            return "no FHE compiler is installed"
        if not trial.is_encrypted:
            return "no output depends on an encrypted value"
    return ""


#: Relative and absolute, of the types whose own steps are longer than float32's tolerance: two
#: steps, as a reference may round where an operator does not.
_TOLERANCES = {"float16": (2e-3, 1e-3), "bfloat16": (1.6e-2, 8e-3)}


def walk(trial: Trial, leg: str) -> None:
    """Walk one leg; whatever it raises says what is wrong."""
    LEGS[leg](trial)


def _float(trial: Trial) -> None:
    try:
        expected = _compare_float(trial)
    except (Difference, NodeError) as error:
        if _is_right_unprepared(trial):
            got = error if isinstance(error, Difference) else Difference("raised", str(error))
            raise attrs.evolve(got, suspect="prepare") from error
        raise
    if trial.plugin.prepare is not None and trial.example.encrypted:
        # What is prepared may depend on which of the inputs are constants.
        results = trial.module().run(trial.feeds())
        _compare(list(results.values()), expected, suspect="prepare")


def _compare_float(trial: Trial) -> tuple[Any, ...]:
    """Compare what the float reference gives with what is expected, and return that."""
    feeds = trial.feeds(range(len(trial.example.inputs)))
    module = trial.module(clear=())
    with untouched(feeds, "the float reference", again=module.run):
        results = list(module.run(feeds).values())
    expected = trial.example.outputs
    if expected is None:
        expected = _reference(trial)
    _compare(results, expected)
    return expected


def _compare(results: list[Any], expected: tuple[Any, ...], suspect: str = "") -> None:
    for place, (got, want) in enumerate(zip(results, expected, strict=False)):
        try:
            _close(f"output {place}", got, want)
        except Difference as error:
            split = "comma" if _was_split(results, expected) else ""
            raise attrs.evolve(error, suspect=suspect or split) from None


def _was_split(results: list[Any], expected: tuple[Any, ...]) -> bool:
    """Whether what is expected is one array, taken apart along its first axis."""
    if len(results) != 1 or not all(isinstance(want, np.ndarray) for want in expected):
        return False
    shapes = {want.shape for want in expected}
    if shapes == {()} and len(expected) > 1:
        return True
    return shapes == {np.shape(results[0])[1:]} and np.shape(results[0])[:1] == (len(expected),)


def _is_right_unprepared(trial: Trial) -> bool:
    """Whether the float reference is as expected without what the plugin prepares of it."""
    if trial.plugin.prepare is None:
        return False
    plain = attrs.evolve(trial.plugin, prepare=None, overrides=None)
    try:
        registry = trial.registry.with_plugins(plain)
        _compare_float(attrs.evolve(trial, plugin=plain, registry=registry))
    except (Exception, SystemExit):
        return False
    return True


def _close(name: str, got: Any, want: Any) -> None:
    """Compare an output with what is expected, to the accuracy of float32 or of its own type."""
    if want is None:
        return
    if isinstance(got, tuple) or isinstance(want, (tuple, list)):
        if not isinstance(got, tuple) or len(got) != len(want):
            what = f"a sequence of {len(got)}" if isinstance(got, tuple) else "a tensor"
            expected = (
                f"a sequence of {len(want)}" if isinstance(want, (tuple, list)) else "a tensor"
            )
            raise Difference("type", f"{name} is {what}, expected {expected}", what, expected)
        for place, pair in enumerate(zip(got, want, strict=True)):
            _close(f"tensor {place} of {name}", *pair)
        return
    _same_type(name, got, want)
    if got.dtype.kind in "fcV":
        kind = np.complex128 if got.dtype.kind == "c" else np.float64
        real, wanted = got.astype(kind), want.astype(kind)
        relative, absolute = _TOLERANCES.get(got.dtype.name, (1e-4, 1e-5))
        if not np.allclose(real, wanted, rtol=relative, atol=absolute, equal_nan=True):
            raise Difference("values", f"{name} is wrong", got, want, quoted=True)
    else:
        _same("values", {name: got}, {name: want}, "is wrong")


def _reference(trial: Trial) -> tuple[np.ndarray | None, ...]:
    """What the `onnx` package's reference implementation gives."""
    if trial.plugin.schema.domain not in _REFERENCED:
        raise Difference(
            "reference",
            "the example states no outputs, and the onnx package has no reference for this "
            "operator",
        )
    model = example_model(trial.plugin, trial.example, clear=())
    feeds = trial.feeds(range(len(trial.example.inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = onnx.reference.ReferenceEvaluator(model)
        return tuple(evaluator.run(None, feeds))


def _calibration(trial: Trial) -> None:
    # Samples cannot be written to in calibration.
    calibrate(trial.module(), trial.feeds())


def _integers(trial: Trial) -> None:
    try:
        _compare_integers(trial)
    except Difference as error:
        if error.kind in ("type", "tolerance") and not trial.is_encrypted:
            raise attrs.evolve(error, suspect="clear") from None
        raise


def _compare_integers(trial: Trial) -> None:
    feeds = trial.feeds()
    wanted = trial.module().run(feeds)
    with untouched(feeds, "the quantized module"):
        results = trial.quantized().run(feeds)
    for name, got in results.items():
        want = wanted[name]
        _same_type(name, got, want)
        if want.size == 0:
            continue
        real = want.astype(np.float64)
        span = float(real.max() - real.min()) or max(1.0, float(np.abs(real).max()))
        error = float(np.abs(got.astype(np.float64) - real).max()) / span
        if not error <= trial.example.tolerance:
            raise Difference(
                "tolerance",
                f"{name} is off by {error:.3f} of its range, the example allows "
                f"{trial.example.tolerance}",
                got,
                want,
                quoted=True,
                found=error,
                allowed=trial.example.tolerance,
                step=1 / (2**trial.example.n_bits - 1),
            )


def _widths(trial: Trial) -> None:
    example, found = trial.example, _lookups(trial.quantized())
    said = ", ".join(f"{count} of {width} bits" for width, count in sorted(found.items()))
    if example.lookups is not None and sum(found.values()) != example.lookups:
        raise Difference(
            "lookups",
            f"{sum(found.values())} table lookups ({said or 'none'}), the example declares "
            f"{example.lookups}",
            sum(found.values()),
            example.lookups,
        )
    widest = max(found, default=0)
    if example.max_bits is not None and widest > example.max_bits:
        raise Difference(
            "bits",
            f"{widest} bits enter a table lookup ({said}), the example declares at most "
            f"{example.max_bits}",
            widest,
            example.max_bits,
        )


def _lookups(quantized: QuantizedModule) -> Counter[int]:
    """Table lookups for one sample by the width in bits that enters the table."""
    found: Counter[int] = Counter()
    for node in quantized.report().nodes:
        found.update(node.lookups)
    return found


def _saving(trial: Trial) -> None:
    feeds = trial.feeds()
    wanted = trial.quantized().run(feeds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.cml"
        trial.quantized().save(path)
        loaded = QuantizedModule.load(path, registry=trial.registry)
    _same("saving", loaded.run(feeds), wanted, "is different once the module is saved and loaded")


def _simulation(trial: Trial) -> None:
    _compiled_widths(trial)
    feeds, circuit = trial.feeds(), trial.circuit()
    wanted = trial.quantized().run(feeds)
    results = circuit.simulate(feeds)
    _same("simulation", results, wanted, "simulated is not what clear integers give")


def _encryption(trial: Trial) -> None:
    feeds, circuit = trial.feeds(), trial.circuit()
    circuit.keygen()
    wanted = trial.quantized().run(feeds)
    _same("encryption", circuit.run(feeds), wanted, "encrypted is not what clear integers give")


def _compiled_widths(trial: Trial) -> None:
    """The compiler's own account of its circuit agrees with the program."""
    quantized, compiled = trial.quantized(), trial.circuit().circuit.widths()
    least, most = circuit_width(quantized.program)
    if not least <= compiled.widest <= most:
        raise Difference(
            "circuit",
            f"the circuit's widest integer has {compiled.widest} bits, the program's {least}",
            compiled.widest,
            least,
        )
    wanted = dict(_lookups(quantized))
    if compiled.lookups is not None and dict(compiled.lookups) != wanted:
        raise Difference(
            "circuit",
            "the circuit's lookups by width in bits are not the program's",
            dict(sorted(compiled.lookups.items())),
            dict(sorted(wanted.items())),
            quoted=True,
        )


def _same_type(name: str, got: np.ndarray, want: np.ndarray) -> None:
    if got.dtype != want.dtype or got.shape != want.shape:
        raise Difference(
            "type",
            f"{name} is {got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}",
            got,
            want,
        )


def _same(
    kind: str, got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], else_: str
) -> None:
    for name, want in wanted.items():
        if not np.array_equal(got[name], want, equal_nan=want.dtype.kind in "fc"):
            raise Difference(kind, f"{name} {else_}", got[name], want, quoted=True)


#: The legs by name, in order.
LEGS: Mapping[str, Callable[[Trial], None]] = MappingProxyType(
    {
        "float": _float,
        "calibration": _calibration,
        "integers": _integers,
        "widths": _widths,
        "saving": _saving,
        "simulation": _simulation,
        "encryption": _encryption,
    }
)
