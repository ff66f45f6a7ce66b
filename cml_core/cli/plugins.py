"""`cml plugins`: what became of every plugin."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cml_core.cli.failures import guarded
from cml_core.cli.terminal import show_json, show_table, show_text
from cml_core.errors import CmlError, PluginError

if TYPE_CHECKING:
    from cml_core.plugins.discovery import LoadedPlugin

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List plugins.")


@app.callback()
def _group() -> None:
    """Keep `list` a command of its own, although it is the only one."""


@app.command("list")
@guarded
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if a plugin failed.")
    ] = False,
) -> None:
    """List every plugin: where it comes from, whether it loaded, and what it provides."""
    from cml_core.plugins.discovery import (
        BACKENDS,
        IMPORTERS,
        OPERATORS,
        PluginWarning,
        load_group,
        strict_from_environment,
    )
    from cml_core.plugins.registry import OpRegistry

    groups = {"operator": OPERATORS, "backend": BACKENDS, "importer": IMPORTERS}
    with warnings.catch_warnings():
        # The list itself names what failed.
        warnings.simplefilter("ignore", PluginWarning)
        found = {name: load_group(group, strict=False) for name, group in groups.items()}
    rows = [_row(name, plugin) for name, plugins in found.items() for plugin in plugins]
    if as_json:
        show_json(rows)
    else:
        columns = ("group", "plugin", "package", "version", "status", "provides", "error")
        show_table(columns, [tuple(row.values()) for row in rows])
        states = [row["status"] for row in rows]
        counts = [f"{states.count(state)} {state}" for state in ("loaded", "blocked", "failed")]
        show_text(f"\n{', '.join(counts)}")
    if strict or strict_from_environment():
        for row in rows:
            if row["status"] == "failed":
                raise PluginError(row["name"], row["error"], "Strict mode makes this fatal.")
        OpRegistry.from_plugins(found["operator"])
    else:
        _warn_of_conflicts(found["operator"])


def _row(group: str, plugin: LoadedPlugin) -> dict[str, Any]:
    return {
        "group": group,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "provides": _provides(plugin.provides),
        "error": plugin.error,
    }


def _provides(value: Any) -> str:
    """What a plugin brings, in a few words."""
    from cml_core.ops.plugin import OpPlugin

    if value is None:
        return ""
    if isinstance(value, OpPlugin):
        schema = value.schema
        name = f"{schema.domain}.{schema.op_type}" if schema.domain else schema.op_type
        return f"{name} {', '.join(map(str, schema.since_versions))}"
    if hasattr(value, "is_installed"):
        return f"{value.name} ({'installed' if value.is_installed() else 'not installed'})"
    return str(value.name)


def _warn_of_conflicts(plugins: tuple[LoadedPlugin, ...]) -> None:
    """Each plugin may load, and yet two of them claim one operator."""
    from cml_core.plugins.discovery import PluginWarning
    from cml_core.plugins.registry import OpRegistry

    try:
        OpRegistry.from_plugins(plugins)
    except CmlError as error:
        warnings.warn(error.message(), PluginWarning, stacklevel=2)
