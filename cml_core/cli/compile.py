"""`cml compile`: from an ONNX model and calibration data to a `.cml` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.compile_choices import (
    check_files,
    compiler_options,
    config_of,
    need_compiler,
)
from cml_core.cli.terminal import show_facts, show_json, show_text
from cml_core.errors import ConfigError

if TYPE_CHECKING:
    from cml_core.cli.progress import Steps
    from cml_core.fhe.backend import FheOptions
    from cml_core.fhe.report import CircuitReport
    from cml_core.numpy_module import NumpyModule
    from cml_core.quantization.config import QuantConfig
    from cml_core.quantization.module import QuantizedModule

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Calibrate, quantize and compile a model to a circuit on encrypted data."""
    from cml_core.cli.progress import watched

    if no_rounding and rounding_bits is not None:
        raise ConfigError("rounding_bits", rounding_bits, "it alone, or --no-rounding")
    choices = {
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
    stated: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
    if no_rounding:
        stated["rounding_bits"] = None
    config = config_of(preset, n_bits, stated)
    options = compiler_options(backend, p_error, global_p_error)
    check_files(model, calibration, output, client, no_circuit=no_circuit)
    if not no_circuit:
        need_compiler(options.backend)
    with watched() as steps:
        module, quantized = _quantize(steps, model, calibration, config)
        compiled = None
        if no_circuit:
            quantized.save(output)
        else:
            compiled = _compile(steps, quantized, options, output, client)
    report = {
        "model": str(model),
        "output": str(output),
        "client": None if client is None else str(client),
        "model_nodes": len(module.graph.graph.nodes),
        **_report(module, quantized, compiled),
        "seconds": steps.seconds,
    }
    if as_json:
        show_json(report)
    else:
        _print_report(report)


# --- the work -------------------------------------------------------------------------------------


def _quantize(
    steps: Steps, model: Path, calibration: Path, config: QuantConfig
) -> tuple[NumpyModule, QuantizedModule]:
    """Read the model and its calibration data, and quantize it."""
    from cml_core.calibration.run import calibrate
    from cml_core.cli.arrays import read_arrays
    from cml_core.numpy_module import NumpyModule
    from cml_core.quantization.module import quantize

    with steps.step("reading the model"):
        module = NumpyModule.from_onnx(model)
    data = read_arrays(calibration, module.inputs)
    with steps.step("calibrating"):
        stats = calibrate(module, data, observer=config.observer, n_bits=config.activation_bits)
    with steps.step("quantizing"):
        quantized = quantize(module, stats, config)
    return module, quantized


def _compile(
    steps: Steps,
    quantized: QuantizedModule,
    options: FheOptions,
    output: Path,
    client: Path | None,
) -> CircuitReport:
    """Compile the circuit, and write it and the client's side."""
    with steps.step("compiling the circuit"):
        circuit = quantized.compile(options)
    circuit.save(output)
    if client is not None:
        circuit.client.save(client)
    return circuit.report


# --- what is printed ------------------------------------------------------------------------------


def _report(
    module: NumpyModule, quantized: QuantizedModule, compiled: CircuitReport | None
) -> dict[str, Any]:
    """What it costs, as plain data."""
    program = quantized.report()
    inputs = {spec.name for spec in module.inputs}
    return {
        "circuit_nodes": sum(node.node not in inputs for node in program.nodes),
        **program.as_dict(),
        "compiled": None if compiled is None else compiled.as_dict(),
    }


def _print_report(report: dict[str, Any]) -> None:
    client, compiled = report["client"], report["compiled"]
    show_text(f"wrote {report['output']}" + ("" if client is None else f" and {client}"))
    facts = {
        "nodes": f"{report['model_nodes']} in the model, {report['circuit_nodes']} in the circuit",
        "table lookups": report["lookups"],
        "max bit width": report["max_bit_width"],
    }
    predicted = f"{report['predicted_complexity']:.3g}"
    if compiled is None:
        facts["predicted complexity"] = predicted
    else:
        sizes = compiled["sizes"]
        facts["complexity"] = f"{compiled['complexity']:.3g}, predicted {predicted}"
        facts["bootstraps"] = compiled["programmable_bootstraps"]
        facts["compiler"] = compiled["backend"]
        facts["keys"] = size_text(sizes["bootstrap_keys"] + sizes["keyswitch_keys"])
    facts["time"] = ", ".join(f"{step} {time:.1f} s" for step, time in report["seconds"].items())
    show_facts(facts)


def size_text(size: float) -> str:
    """A number of bytes for a person."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
