"""`cml ops`: which operators there are, and everything about one of them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from cml_core.cli.failures import guarded
from cml_core.cli.ops_check import check_operators
from cml_core.cli.ops_facts import (
    COMPARED,
    count_operators,
    describe_plugin,
    missing_operators,
    onnx_operators,
    operators,
    plugins_in_force,
)
from cml_core.cli.ops_new import new_operator
from cml_core.cli.ops_show import print_details, versions_text
from cml_core.cli.terminal import show_json, show_table, show_text
from cml_core.errors import CmlError, ConfigError

if TYPE_CHECKING:
    from cml_core.plugins.registry import OpRegistry

__all__ = ["UnknownOperatorError", "app"]

app = typer.Typer(
    no_args_is_help=True, help="List operators, show one, check them, or begin a new one."
)


@attrs.define(eq=False, slots=False)
class UnknownOperatorError(CmlError):
    """No plugin provides an operator of that name."""

    name: str
    revisions: tuple[int, ...] = ()
    similar: tuple[str, ...] = ()

    def message(self) -> str:
        """Say whether ONNX knows it, and what is similar."""
        if self.revisions:
            have = ", ".join(map(str, self.revisions))
            return (
                f"no plugin provides {self.name}, which ONNX has in revisions {have}. "
                "Install a plugin that provides it, or write one."
            )
        hint = f" Did you mean {' or '.join(self.similar)}?" if self.similar else ""
        return f"there is no operator {self.name!r}.{hint}"


@app.command("list")
@guarded
def list_operators(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="List what ONNX has and no plugin provides.")
    ] = False,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only of this domain, such as ai.onnx.ml.")
    ] = None,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage", help="Count them by domain: what exists, runs in float, runs quantized."
        ),
    ] = False,
) -> None:
    """List the operators: revisions, plugin, float, quantized, kind and restrictions."""
    from cml_core.plugins.registry import default_registry

    if missing and coverage:
        raise ConfigError("coverage", coverage, "it alone, or --missing")
    registry = default_registry()
    domains = {key.domain for key in registry.ops}
    if coverage:
        _show_coverage(_of_domain(count_operators(registry), domain, domains), as_json)
        return
    rows = missing_operators(registry) if missing else operators(registry)
    rows = _of_domain(rows, domain, domains)
    if as_json:
        show_json(rows)
        return
    if missing:
        show_table(("operator", "revisions"), [(_name(row), versions_text(row)) for row in rows])
        revisions = sum(len(row["since_versions"]) for row in rows)
        show_text(f"\n{len(rows)} operators of ONNX lack a plugin in {revisions} revisions")
        return
    columns = ("operator", "revisions", "float", "quantized", "kind", "plugin", "restrictions")
    show_table(columns, map(_cells, rows))
    names = {(row["domain"], row["op_type"]) for row in rows}
    quantized = {(row["domain"], row["op_type"]) for row in rows if row["quantized"]}
    onnx = "" if domain else f"; of ONNX, {_of_onnx(count_operators(registry))}"
    show_text(
        f"\n{len(names)} operators by {len(rows)} plugins: {len(quantized)} float and quantized, "
        f"{len(names - quantized)} float only{onnx}"
    )


def _of_domain(
    rows: list[dict[str, Any]], domain: str | None, domains: set[str]
) -> list[dict[str, Any]]:
    """The rows about a domain, or all of them; `domains` are those that plugins are in."""
    from cml_core.ops.schema import normalize_domain

    if domain is None:
        return rows
    wanted = normalize_domain(domain)
    known = {row["domain"] for row in rows} | {*COMPARED, *domains}
    if wanted not in known:
        names = ", ".join(sorted(name or "ai.onnx" for name in known))
        raise ConfigError("domain", domain, f"one that operators are in: {names}")
    return [row for row in rows if row["domain"] == wanted]


def _of_onnx(counts: list[dict[str, Any]]) -> str:
    return " and ".join(
        f"{row['float']} of {row['operators']} in {row['domain'] or 'ai.onnx'}"
        for row in counts
        if row["domain"] in COMPARED
    )


def _show_coverage(counts: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        show_json({"domains": counts})
        return
    columns = ("domain", "operators", "float", "quantized", "revisions", "revisions in float")
    show_table(columns, [(row["domain"] or "ai.onnx", *list(row.values())[1:]) for row in counts])


def _name(row: dict[str, Any]) -> str:
    return f"{row['domain']}.{row['op_type']}" if row["domain"] else str(row["op_type"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        _name(row),
        versions_text(row),
        "yes",
        "yes" if row["quantized"] else "no",
        row["kind"],
        row["plugin"],
        row["restrictions"],
    )


@app.command("show")
@guarded
def show_operator(
    name: Annotated[str, typer.Argument(help="The operator in ONNX's spelling, such as Gemm.")],
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only this domain, such as ai.onnx.ml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything about an operator: of each plugin, the one of the newest revision first."""
    from cml_core.ops.schema import normalize_domain
    from cml_core.plugins.registry import default_registry

    registry = default_registry()
    wanted = None if domain is None else normalize_domain(domain)
    entries = [
        (entry, keys)
        for entry, keys in plugins_in_force(registry)
        if entry.plugin.schema.op_type == name and wanted in (None, entry.plugin.schema.domain)
    ]
    if not entries:
        raise _unknown(registry, name, wanted)
    entries.sort(key=lambda found: -found[1][-1].since_version)
    details = [describe_plugin(entry, keys) for entry, keys in entries]
    if as_json:
        show_json({"op_type": name, "plugins": details})
        return
    for place, detail in enumerate(details):
        if place:
            show_text("")
        print_details(detail)


def _unknown(registry: OpRegistry, name: str, domain: str | None) -> UnknownOperatorError:
    known = {key: v for key, v in onnx_operators().items() if domain in (None, key[0])}
    revisions = {version for key in known if key[1] == name for version in known[key]}
    names = {op for _, op in known}
    names |= {key.op_type for key in registry.ops if domain in (None, key.domain)}
    by_lower: dict[str, str] = {other.lower(): other for other in sorted(names)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3)
    full = f"{domain}.{name}" if domain else name
    return UnknownOperatorError(
        full, tuple(sorted(revisions)), tuple(by_lower[match] for match in close)
    )


app.command("check")(guarded(check_operators))
app.command("new")(guarded(new_operator))
