"""`cml run`: a model in float, and where it spends its time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.terminal import show_facts, show_json, show_table, show_text

if TYPE_CHECKING:
    from cml_core.graph.model import TensorSpec
    from cml_core.profiling import NodeProfile, Profile

__all__ = ["run"]

#: As many nodes as the table of the slowest has.
_SLOWEST = 20


def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model.")],
    inputs: Annotated[
        Path,
        typer.Option("--input", metavar="X.npz", help="Arrays by the names of the inputs."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Y.npz", help="Where to write arrays by output name."),
    ],
    with_profile: Annotated[
        bool, typer.Option("--profile", help="Print time and memory by operator and by node.")
    ] = False,
    profile_all: Annotated[
        bool, typer.Option("--profile-all", help=f"Of every node, not of the slowest {_SLOWEST}.")
    ] = False,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs whose median a profile takes.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a model in float, in NumPy, with no quantization."""
    from cml_core.cli.arrays import check_output, describe_arrays, read_arrays, write_arrays
    from cml_core.cli.progress import watched
    from cml_core.numpy_module import NumpyModule
    from cml_core.profiling import profile

    check_output(output, model, inputs)
    measured = None
    with watched() as steps:
        with steps.step("reading the model"):
            module = NumpyModule.from_onnx(model)
        feeds = read_arrays(inputs, module.inputs)
        with steps.step("running"):
            results = module.run(feeds)
        write_arrays(output, results)
        if with_profile or profile_all:
            with steps.step("measuring"):
                measured = profile(module, feeds, repeat=repeat)
    if as_json:
        show_json(_report(model, output, results, measured))
        return
    show_text(f"wrote {output}: {describe_arrays(results)}")
    if measured is not None:
        _print_profile(measured, in_order=profile_all)


def _report(
    model: Path, output: Path, results: dict[str, Any], profile: Profile | None
) -> dict[str, Any]:
    report = {
        "model": str(model),
        "output": str(output),
        "outputs": [{"name": name, **_described(value)} for name, value in results.items()],
    }
    return report if profile is None else {**report, "profile": profile.as_dict()}


def _described(value: Any) -> dict[str, Any]:
    if isinstance(value, tuple):
        return {"sequence": [_described(element) for element in value]}
    return {"dtype": None} if value is None else {"dtype": str(value.dtype), "shape": value.shape}


def _print_profile(profile: Profile, *, in_order: bool) -> None:
    from cml_core.cli.compile import size_text

    show_text("")
    _print_operators(profile)
    show_text("")
    nodes = profile.nodes if in_order else _slowest(profile.nodes)
    _print_nodes(profile, nodes)
    if len(nodes) < len(profile.nodes):
        show_text(f"and {len(profile.nodes) - len(nodes)} faster nodes (--profile-all shows them)")
    facts = {
        "time": f"{_time_text(profile.seconds)}, the median of {profile.runs}",
        "memory": f"{size_text(profile.peak_bytes)} at the most, "
        f"and {size_text(profile.constant_bytes)} of constants",
    }
    show_text("")
    show_facts(facts, indent=0)


def _print_operators(profile: Profile) -> None:
    from cml_core.cli.compile import size_text

    rows: list[tuple[object, ...]] = [
        (
            _operator(each.domain, each.op_type),
            each.nodes,
            *_time_and_share(each.seconds, profile),
            size_text(each.output_bytes),
            size_text(each.temporary_bytes),
        )
        for each in profile.operators
    ]
    rows.append(
        ("between nodes", None, *_time_and_share(profile.overhead, profile), None, None),
    )
    show_table(("operator", "nodes", "time", "share", "outputs", "temporary"), rows)


def _print_nodes(profile: Profile, nodes: tuple[NodeProfile, ...]) -> None:
    from cml_core.cli.compile import size_text

    rows = [
        (
            node.name,
            _operator(node.domain, node.op_type),
            *_time_and_share(node.seconds, profile),
            ", ".join(map(_tensor, node.outputs)),
            size_text(node.output_bytes),
            size_text(node.temporary_bytes),
        )
        for node in nodes
    ]
    show_table(("node", "operator", "time", "share", "outputs", "size", "temporary"), rows)


def _time_and_share(seconds: float, profile: Profile) -> tuple[str, str]:
    return _time_text(seconds), f"{100 * seconds / profile.seconds:.1f} %"


def _slowest(nodes: tuple[NodeProfile, ...]) -> tuple[NodeProfile, ...]:
    return tuple(sorted(nodes, key=lambda node: -node.seconds)[:_SLOWEST])


def _operator(domain: str, op_type: str) -> str:
    return f"{domain}.{op_type}" if domain else op_type


def _tensor(spec: TensorSpec) -> str:
    return "no tensor" if spec.shape is None else f"{spec.dtype}{list(spec.shape)}"


def _time_text(seconds: float) -> str:
    """A duration for a person."""
    for unit in ("s", "ms"):
        if seconds >= 1:
            return f"{seconds:.3g} {unit}"
        seconds *= 1000
    return f"{seconds:.3g} µs"
