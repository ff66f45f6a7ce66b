"""`cml plugins`: what became of every plugin, and everything about one."""

from __future__ import annotations

import difflib
import warnings
from typing import Annotated, Any

import attrs
import typer

from cml_core.cli.failures import guarded
from cml_core.cli.plugins_facts import Found, describe_plugin, find_plugins, remarks
from cml_core.cli.terminal import show_facts, show_json, show_table, show_text
from cml_core.errors import CmlError, PluginError

__all__ = ["UnknownPluginError", "app"]

app = typer.Typer(no_args_is_help=True, help="List plugins, or show one of them.")

#: Plugins that an error names at most.
_NAMED = 5


@attrs.define(eq=False, slots=False)
class UnknownPluginError(CmlError):
    """A name is no plugin's, or that of several."""

    name: str
    matches: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()

    def message(self) -> str:
        """Name the plugins that are meant, or that are similar."""
        if self.matches:
            more = len(self.matches) - _NAMED
            rest = f" and {more} more" if more > 0 else ""
            names = ", ".join(self.matches[:_NAMED]) + rest
            return f"{self.name!r} is the name of {len(self.matches)} plugins: {names}."
        hint = f"Did you mean {' or '.join(self.similar)}?" if self.similar else ""
        return f"there is no plugin {self.name!r}. {hint or '`cml plugins list` names them all.'}"


@app.command("list")
@guarded
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if a plugin failed.")
    ] = False,
) -> None:
    """List every plugin: where it comes from, whether it loaded, and what it provides."""
    from cml_core.plugins.discovery import PluginWarning, strict_from_environment

    found = find_plugins()
    rows = found.rows()
    if as_json:
        show_json(rows)
    else:
        columns = ("group", "plugin", "package", "version", "status", "provides", "ms", "remarks")
        show_table(columns, map(_cells, rows))
        states = [row["status"] for row in rows]
        counts = [f"{states.count(state)} {state}" for state in ("loaded", "blocked", "failed")]
        seconds = sum(row["seconds"] for row in rows)
        show_text(f"\n{', '.join(counts)}; loaded in {seconds:.1f} s")
    conflicts = found.operators.conflicts
    if strict or strict_from_environment():
        for row in rows:
            if row["status"] == "failed":
                hint = " ".join(filter(None, (row["hint"], "Strict mode makes this fatal.")))
                raise PluginError(row["name"], row["error"], hint)
        for error in conflicts:
            raise error
    for error in conflicts:
        warnings.warn(error.message(), PluginWarning, stacklevel=2)


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("group", "name", "distribution", "version", "status", "provides")
    return (*(row[name] for name in names), round(1000 * row["seconds"]), remarks(row))


@app.command("show")
@guarded
def show_plugin(
    name: Annotated[
        str,
        typer.Argument(help="The plugin, such as cml_ops_builtin.relu, or the end of its name."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything about a plugin; of one that failed, where and why."""
    found = find_plugins()
    detail = describe_plugin(_meant(name, found), found)
    if as_json:
        show_json(detail)
    else:
        _print_details(detail)


def _meant(name: str, found: Found) -> str:
    """The plugin that a name, the end of one, or that of its only package stands for.

    Raises
    ------
    UnknownPluginError
        There is none, or several.
    """
    plugins = [plugin for group in found.plugins.values() for plugin in group]
    names = [plugin.name for plugin in plugins]
    if name in names:
        return name
    matches = [other for other in names if other.endswith(f".{name}")]
    matches = matches or [other for other in names if other.startswith(f"{name}.")]
    matches = matches or [plugin.name for plugin in plugins if plugin.distribution == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownPluginError(name, tuple(matches))
    whole = difflib.get_close_matches(name, names, n=3, cutoff=0.8)
    ends = {other.rpartition(".")[2]: other for other in reversed(names)}
    last = difflib.get_close_matches(name.rpartition(".")[2], ends, n=3, cutoff=0.7)
    similar = whole or [ends[end] for end in last]
    raise UnknownPluginError(name, similar=tuple(similar))


def _print_details(detail: dict[str, Any]) -> None:
    package = " ".join(filter(None, (detail["distribution"], detail["version"])))
    facts = {
        "plugin": detail["name"],
        "group": detail["group"],
        "package": package or "unknown",
        "file": detail["file"],
        "status": detail["status"],
        "plugin API": detail["api"] or "1.0, as none is declared",
        "provides": detail["provides"],
        "forms": _forms(detail),
        "restrictions": detail.get("restrictions"),
        "examples": detail.get("examples"),
        "overrides": detail["overrides"],
        "overridden by": ", ".join(detail["overridden_by"]),
        "loaded in": f"{1000 * detail['seconds']:.0f} ms",
        "notes": "\n".join(detail["notes"]),
        "error": detail["error"],
        "what would help": detail["hint"],
    }
    show_text(detail["doc"] or detail["name"])
    show_facts({name: value for name, value in facts.items() if value not in (None, "")})
    if detail["traceback"]:
        show_text(f"\n{detail['traceback']}")
    if "op_type" in detail:
        show_text(f"\n`cml ops show {detail['op_type']}` shows the operator.")


def _forms(detail: dict[str, Any]) -> str | None:
    if "quantized" not in detail:
        return None
    return "float and quantized" if detail["quantized"] else "float only"
