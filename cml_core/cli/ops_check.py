"""`cml ops check`: the conformance kit on a package of operators."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from cml_core.cli.failures import say_error
from cml_core.cli.progress import watched
from cml_core.cli.terminal import show_json, show_table, show_text

if TYPE_CHECKING:
    from cml_core.testing.conformance import CheckResult
    from cml_core.testing.package import PluginCheck

__all__ = ["check_operators"]


def check_operators(
    packages: Annotated[
        list[str],
        typer.Argument(
            metavar="PACKAGE",
            help="A module, package or distribution with operators, an operator, or a part of the "
            "names of installed plugins.",
        ),
    ],
    legs: Annotated[
        str | None,
        typer.Option(
            help="Only these, separated by commas: float, calibration, integers, widths, saving, "
            "simulation, encryption."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check operators along every leg from float to encryption; exit with status 1 if one fails.

    What is dear is not encrypted for real: `pytest --cml-ops` does that.
    """
    from cml_core.testing.conformance import known_legs
    from cml_core.testing.selection import import_from_here, operators_of

    import_from_here()
    chosen = known_legs(None if legs is None else [leg.strip() for leg in legs.split(",")])
    plugins = operators_of(packages, argument="PACKAGE", parts=True)
    checks = _check(plugins, chosen)
    if as_json:
        show_json(_plain(checks, chosen))
    else:
        _print(checks, chosen)
    failed = sum(check.failed for check in checks)
    if failed:
        say_error(f"{failed} of {len(checks)} plugin{'' if len(checks) == 1 else 's'} failed.")
        raise typer.Exit(1)


def _check(plugins: tuple[Any, ...], legs: tuple[str, ...]) -> list[PluginCheck]:
    from cml_core.fhe.backend import FheOptions
    from cml_core.plugins.discovery import PluginWarning
    from cml_core.testing.clashes import clashes
    from cml_core.testing.package import check_plugin

    clashing, remarks = clashes(plugins)
    for remark in remarks:
        warnings.warn(remark.message(), PluginWarning, stacklevel=2)
    checks = []
    # What operators print must not end up between the results.
    with (
        tempfile.TemporaryDirectory(prefix="cml-keys-") as keys,
        contextlib.redirect_stdout(sys.stderr),
        watched() as steps,
    ):
        options = FheOptions(key_cache=Path(keys))
        for place, plugin in enumerate(plugins):
            name = f"{plugin.name} ({place + 1} of {len(plugins)} plugins)"
            with steps.step(name) as advance:
                check = check_plugin(
                    plugin,
                    legs=legs,
                    options=options,
                    others=plugins,
                    clash=clashing.get(plugin.name),
                    advance=advance,
                )
            checks.append(check)
    return checks


def _plain(checks: list[PluginCheck], legs: tuple[str, ...]) -> dict[str, Any]:
    results = [
        {"plugin": check.plugin, **attrs.asdict(result)}
        for check in checks
        for result in check.results
    ]
    counts = Counter(result["status"] for result in results)
    return {
        "legs": legs,
        **{status: counts[status] for status in ("passed", "skipped", "failed")},
        "results": results,
    }


def _print(checks: list[PluginCheck], legs: tuple[str, ...]) -> None:
    rows = [
        (check.plugin, _examples(check), *(_mark(check, leg, leg == legs[0]) for leg in legs))
        for check in checks
    ]
    show_table(("plugin", "examples", *legs), rows)
    for check in checks:
        for result in check.results:
            if result.status == "failed":
                show_text("\n" + _describe(check, result))
    every = [result for check in checks for result in check.results]
    skipped = Counter(
        "a leg before it failed" if result.reason.endswith(" failed") else result.reason
        for result in every
        if result.status == "skipped"
    )
    if skipped:
        show_text("\nskipped:")
    for reason, count in skipped.most_common():
        show_text(f"  {count} × {reason}")
    counts = Counter(result.status for result in every)
    states = ("passed", "skipped", "failed")
    show_text("\n" + ", ".join(f"{counts[state]} {state}" for state in states if counts[state]))


def _examples(check: PluginCheck) -> int:
    return len({result.example for result in check.results if result.example})


def _mark(check: PluginCheck, leg: str, first: bool) -> str:
    """What came of a leg over all examples; that a plugin did not load stands at the first one."""
    legs = (leg, "loading") if first else (leg,)
    states = {result.status for result in check.results if result.leg in legs}
    if "failed" in states:
        return "FAIL"
    if "passed" in states:
        return "pass"
    return "skip" if states else ""


def _describe(check: PluginCheck, result: CheckResult) -> str:
    where = f", example {result.example!r}" if result.example else ""
    lines = [f"{check.plugin}{where}, {result.leg}: {result.reason}"]
    if result.place:
        lines.append(f"raised at {result.place}")
    if result.cause:
        lines.append(f"likely cause: {result.cause}")
    return "\n".join(lines)
