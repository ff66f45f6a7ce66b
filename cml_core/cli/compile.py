"""`cml compile`: from an ONNX model and calibration data to a `.cml` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.terminal import show_facts, show_text

if TYPE_CHECKING:
    from cml_core.fhe.report import CircuitReport
    from cml_core.quantization.config import QuantConfig
    from cml_core.quantization.report import ProgramReport

__all__ = ["compile_model", "size_text"]


def _option(metavar: str, what: str, default: str = "--n-bits") -> Any:
    return typer.Option(metavar=metavar, help=what, show_default=default)


def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model.")],
    calibration: Annotated[
        Path,
        typer.Option(metavar="X.npz", help="Representative samples by the names of the inputs."),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="MODEL.cml", help="Where to write the result.")
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="fast|best", help="Approximate rounding at low cost, or at high accuracy."
        ),
    ] = None,
    n_bits: Annotated[
        int | None,
        _option("N", "Bits of inputs, weights and activations.", "5, 5 and 4"),
    ] = None,
    input_bits: Annotated[int | None, _option("N", "Bits of inputs.")] = None,
    weight_bits: Annotated[int | None, _option("N", "Bits of weights.")] = None,
    activation_bits: Annotated[
        int | None, _option("N", "Bits of what travels between layers.")
    ] = None,
    output_bits: Annotated[
        int | None, _option("N", "Bits of outputs, with --tail server.", "8")
    ] = None,
    rounding_bits: Annotated[
        int | None,
        _option(
            "N",
            "Round wider accumulators to so many bits before a lookup.",
            "activation bits + 1",
        ),
    ] = None,
    no_rounding: Annotated[
        bool, typer.Option("--no-rounding", help="Round nothing before lookups.")
    ] = False,
    rounding: Annotated[
        str | None,
        _option(
            "exact|approximate",
            "Approximate rounding is far cheaper and may be off by one step.",
            "exact",
        ),
    ] = None,
    read_bits: Annotated[
        int | None,
        _option("N", "Bits decrypted of linear results, with approximate rounding.", "all"),
    ] = None,
    prune: Annotated[
        float | None,
        _option("SHARE", "Of a layer's power, what left-out inputs may cost.", "0"),
    ] = None,
    observer: Annotated[
        str | None, _option("NAME", "How calibration decides ranges.", "minmax")
    ] = None,
    ranges: Annotated[
        str | None,
        _option(
            "calibrated|proven",
            "Width of accumulators: as calibration saw it, or as weights prove it.",
            "calibrated",
        ),
    ] = None,
    margin: Annotated[
        float | None, _option("SHARE", "Added to the calibrated range on both sides.", "0.2")
    ] = None,
    input_scales: Annotated[
        str | None,
        _option("one|each", "One scale for a whole input, or one for each of its elements.", "one"),
    ] = None,
    thresholds: Annotated[
        str | None,
        _option(
            "thermometer|bins|uniform",
            "How inputs are encrypted that are only compared with constants, as trees do.",
            "thermometer",
        ),
    ] = None,
    tail: Annotated[
        str | None,
        _option("client|server", "Who computes what follows the last linear operation.", "client"),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="FHE compiler; by default the one installed."),
    ] = None,
    p_error: Annotated[
        str, typer.Option(metavar="P", help="Probability that one lookup fails.")
    ] = "2**-40",
    global_p_error: Annotated[
        str | None,
        typer.Option(metavar="P", help="Probability that any lookup fails, in place of --p-error."),
    ] = None,
    client: Annotated[
        Path | None,
        typer.Option(
            metavar="CLIENT.cml",
            help="Where to write the client's side alone, for `cml client`: no program, no keys.",
        ),
    ] = None,
    no_circuit: Annotated[
        bool,
        typer.Option("--no-circuit", help="Quantize only; needs no FHE compiler."),
    ] = False,
) -> None:
    """Calibrate, quantize and compile a model to a circuit on encrypted data."""
    from cml_core.calibration.run import calibrate
    from cml_core.cli.arrays import check_output, read_arrays
    from cml_core.cli.progress import watched
    from cml_core.errors import ConfigError
    from cml_core.fhe.backend import FheOptions
    from cml_core.numpy_module import NumpyModule
    from cml_core.quantization.module import quantize

    if no_rounding and rounding_bits is not None:
        raise ConfigError("rounding_bits", rounding_bits, "it alone, or --no-rounding")
    options_given = {
        "input_bits": input_bits,
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "output_bits": output_bits,
        "rounding_bits": rounding_bits,
        "rounding": rounding,
        "read_bits": read_bits,
        "prune": prune,
        "observer": observer,
        "ranges": ranges,
        "margin": margin,
        "input_scales": input_scales,
        "thresholds": thresholds,
        "tail": tail,
    }
    stated: dict[str, Any] = {
        name: value for name, value in options_given.items() if value is not None
    }
    if no_rounding:
        stated["rounding_bits"] = None
    config = _config(preset, n_bits, stated)
    options = FheOptions(
        backend=backend,
        p_error=_probability("p_error", p_error),
        global_p_error=None
        if global_p_error is None
        else _probability("global_p_error", global_p_error),
    )
    check_output(output, model, calibration)
    if client is not None:
        if no_circuit:
            raise ConfigError("client", str(client), "a circuit, so no --no-circuit")
        check_output(client, model, calibration, output)
    if not no_circuit:
        _need_compiler(options.backend)

    with watched() as steps:
        with steps.step("reading the model"):
            module = NumpyModule.from_onnx(model)
        data = read_arrays(calibration, module.inputs)
        with steps.step("calibrating"):
            stats = calibrate(module, data, observer=config.observer, n_bits=config.activation_bits)
        with steps.step("quantizing"):
            quantized = quantize(module, stats, config)
        report = quantized.report()
        compiled = None
        if no_circuit:
            quantized.save(output)
        else:
            with steps.step("compiling the circuit"):
                circuit = quantized.compile(options)
            compiled = circuit.report
            circuit.save(output)
            if client is not None:
                circuit.client.save(client)
    inputs = {spec.name for spec in module.inputs}
    lowered = sum(node.node not in inputs for node in report.nodes)
    show_text(f"wrote {output}" if client is None else f"wrote {output} and {client}")
    show_facts(
        {
            "nodes": f"{len(module.graph.graph.nodes)} in the model, {lowered} in the circuit",
            **_facts(report, compiled),
            "time": ", ".join(f"{name} {time:.1f} s" for name, time in steps.seconds.items()),
        }
    )


def _config(preset: str | None, n_bits: int | None, stated: dict[str, Any]) -> QuantConfig:
    """The configuration that a preset or a bit width begins with, and what was stated."""
    from cml_core.errors import ConfigError
    from cml_core.quantization.config import QuantConfig

    presets = {"fast": QuantConfig.fast, "best": QuantConfig.best}
    if preset is None:
        return QuantConfig(**stated) if n_bits is None else QuantConfig.with_bits(n_bits, **stated)
    if preset not in presets:
        raise ConfigError("preset", preset, f"one of {', '.join(presets)}")
    if n_bits is not None:
        raise ConfigError("n_bits", n_bits, "either --n-bits or --preset, not both")
    return presets[preset](**stated)


def _need_compiler(name: str | None) -> None:
    """Refuse a compiler that is not installed, before any work is done for it."""
    from cml_core.errors import BackendUnavailableError
    from cml_core.fhe.backend import choose_backend

    try:
        choose_backend(name)
    except BackendUnavailableError as error:
        hint = f"{error.hint} With --no-circuit, the model is only quantized."
        raise BackendUnavailableError(error.backend, error.installed, hint) from None


def _probability(name: str, text: str) -> float:
    """A number such as `1e-12`, or a power such as `2**-40`."""
    from cml_core.errors import ConfigError

    base, power, exponent = text.partition("**")
    try:
        return float(base) ** int(exponent) if power else float(text)
    except (ValueError, ArithmeticError):
        raise ConfigError(
            name, text, "a probability between 0 and 1, such as 1e-12 or 2**-40"
        ) from None


def _facts(report: ProgramReport, circuit: CircuitReport | None) -> dict[str, str]:
    facts = {
        "table lookups": str(report.lookups),
        "max bit width": str(report.max_bit_width),
    }
    if circuit is None:
        facts["predicted complexity"] = f"{report.complexity:.3g}"
    else:
        facts["complexity"] = f"{circuit.complexity:.3g}, predicted {report.complexity:.3g}"
        facts["bootstraps"] = str(circuit.programmable_bootstraps)
        facts["compiler"] = circuit.backend
        facts["keys"] = size_text(circuit.sizes["bootstrap_keys"] + circuit.sizes["keyswitch_keys"])
    return facts


def size_text(size: float) -> str:
    """A number of bytes for a person."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
