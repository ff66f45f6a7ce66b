"""`cml inspect`: what a `.cml` file costs, node by node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.terminal import show_facts, show_json, show_table, show_text

if TYPE_CHECKING:
    from cml_core.graph.model import TensorSpec
    from cml_core.quantization.module import QuantizedModule

__all__ = ["inspect"]


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL.cml", help="The compiled model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a quantized model's bit widths, lookups and cost, node by node."""
    from cml_core.fhe.circuit import stored_report
    from cml_core.quantization.module import QuantizedModule
    from cml_core.storage import read_archive

    parts = read_archive(model)
    module = QuantizedModule.from_parts(parts, model)
    report = _report(module, stored_report(parts, model))
    if as_json:
        show_json({"model": str(model), **report})
    else:
        _print_report(str(model), report)


def _report(module: QuantizedModule, compiled: dict[str, Any] | None) -> dict[str, Any]:
    """The report as plain data, without the file's name."""
    layout = module.client.layout
    program = module.report().as_dict()
    tail = module.client.tail
    return {
        "inputs": [_spec(spec) for spec in layout.inputs],
        "outputs": [_spec(spec) for spec in layout.outputs],
        "client_nodes": [] if tail is None else [bound.name for bound in tail.graph.nodes],
        "instructions": len(module.program.instructions),
        **program,
        "compiled": compiled,
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": None if spec.dtype is None else str(spec.dtype),
        "shape": None if spec.shape is None else list(spec.shape),
    }


def _print_report(model: str, report: dict[str, Any]) -> None:
    show_text(f"{model}\n")
    columns = (
        "node", "bits", "in", "out", "interval", "lookups", "rounded bits", "complexity", "share",
        "SNR dB",
    )  # fmt: skip
    rows = [_cells(row) for row in report["nodes"]]
    rounded = sum(row["rounded_bits"] for row in report["nodes"])
    widest, lookups = report["max_bit_width"], report["lookups"]
    total = report["predicted_complexity"]
    totals = (lookups or None, rounded or None, f"{total:.3g}", None, None)
    rows.append(("total", widest, None, None, None, *totals))
    show_table(columns, rows)
    facts = {
        "inputs": ", ".join(map(_print_spec, report["inputs"])),
        "outputs": ", ".join(map(_print_spec, report["outputs"])),
        "by the client": ", ".join(report["client_nodes"]),
        "instructions": str(report["instructions"]),
        "overflows": _overflows(report),
        **_compiled_facts(report["compiled"]),
    }
    show_text("")
    show_facts({name: value for name, value in facts.items() if value}, indent=0)


def _overflows(report: dict[str, Any]) -> str:
    drawn, left = report["drawn_samples"], report["overflowing_samples"]
    if not drawn:
        return ""
    return f"{left} of {drawn} samples drawn up to half as wide again as the calibration data"


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    low, high = row["interval"]
    lookups = ", ".join(f"{count} of {width} bits" for width, count in row["lookups"].items())
    costs = row["predicted_complexity"] > 0
    return (
        row["node"],
        row["max_bit_width"],
        row["bits_in"],
        row["bits_out"],
        f"[{low}, {high}]",
        lookups,
        row["rounded_bits"] or None,
        f"{row['predicted_complexity']:.3g}" if costs else None,
        f"{100 * row['share']:.0f} %" if costs else None,
        None if row["signal_to_noise_db"] is None else f"{row['signal_to_noise_db']:.1f}",
    )


def _print_spec(spec: dict[str, Any]) -> str:
    shape = "" if spec["shape"] is None else str(spec["shape"]).replace("'", "")
    return f"{spec['name']} {spec['dtype'] or ''}{shape}"


def _compiled_facts(compiled: dict[str, Any] | None) -> dict[str, str]:
    from cml_core.cli.compile import size_text

    if compiled is None:
        return {"compiled": "no, quantized only"}
    return {
        "compiler": f"{compiled['backend']}, {compiled['compile_seconds']:.1f} s",
        "bootstraps": str(compiled["programmable_bootstraps"]),
        "complexity": f"{compiled['complexity']:.3g}",
        "sizes": ", ".join(
            f"{name.replace('_', ' ')} {size_text(size)}"
            for name, size in compiled["sizes"].items()
        ),
    }
