"""What is known of plugins of every group, as plain data."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from cml_core.plugins.loading import LoadedPlugin
    from cml_core.plugins.registry import OpRegistry

__all__ = ["Found", "describe_plugin", "find_plugins", "remarks"]


@attrs.frozen
class Found:
    """Every plugin by its group, and the registry of the operators."""

    plugins: dict[str, tuple[LoadedPlugin, ...]]
    operators: OpRegistry

    def rows(self) -> list[dict[str, Any]]:
        """One row of plain data for each plugin."""
        return [
            _row(group, plugin, self.operators)
            for group, plugins in self.plugins.items()
            for plugin in plugins
        ]


def find_plugins() -> Found:
    """Load the plugins of every group; none of them is fatal."""
    from cml_core.plugins.discovery import (
        BACKENDS,
        IMPORTERS,
        OPERATORS,
        PluginWarning,
        load_group,
    )
    from cml_core.plugins.registry import OpRegistry

    groups = {"operator": OPERATORS, "backend": BACKENDS, "importer": IMPORTERS}
    with warnings.catch_warnings():
        # What is listed says itself what failed.
        warnings.simplefilter("ignore", PluginWarning)
        plugins = {name: load_group(group, strict=False) for name, group in groups.items()}
    registry = OpRegistry.from_plugins(plugins["operator"], strict=False)
    return Found({**plugins, "operator": registry.plugins}, registry)


def _row(group: str, plugin: LoadedPlugin, registry: OpRegistry) -> dict[str, Any]:
    return {
        "group": group,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "provides": _provides(plugin.provides),
        "overrides": getattr(plugin.provides, "overrides", None),
        "overridden_by": _overridden_by(plugin, registry),
        "error": plugin.error,
        "hint": plugin.hint,
        "seconds": round(plugin.seconds, 4),
        "notes": [*_conflicts(plugin, registry), *plugin.notes],
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


def _keys(plugin: LoadedPlugin) -> tuple[Any, ...]:
    schema = getattr(plugin.provides, "schema", None)
    return () if schema is None else schema.keys


def _overridden_by(plugin: LoadedPlugin, registry: OpRegistry) -> list[str]:
    winners = (registry.ops[key].name for key in _keys(plugin) if key in registry.ops)
    return sorted({name for name in winners if name != plugin.name})


def _conflicts(plugin: LoadedPlugin, registry: OpRegistry) -> list[str]:
    """Revisions that this plugin and another claim, so that neither serves them."""
    found: dict[str, list[str]] = {}
    for key in _keys(plugin):
        for name in registry.contested.get(key, ()):
            if name != plugin.name:
                found.setdefault(name, []).append(str(key))
    return [
        f"{name} provides {', '.join(keys)} too, so neither serves it"
        for name, keys in found.items()
    ]


def remarks(row: dict[str, Any]) -> str:
    """What there is to say of a plugin beside what it provides, in one line."""
    parts = [
        f"overrides {row['overrides']}" if row["overrides"] else "",
        f"overridden by {', '.join(row['overridden_by'])}" if row["overridden_by"] else "",
        *row["notes"],
        f"{row['error'].rstrip('.')}. {row['hint']}" if row["hint"] else row["error"],
    ]
    return "; ".join(filter(None, parts))


def describe_plugin(name: str, found: Found) -> dict[str, Any]:
    """Everything about one plugin; its name is one that was found."""
    group, plugin = next(
        (group, plugin)
        for group, plugins in found.plugins.items()
        for plugin in plugins
        if plugin.name == name
    )
    module = sys.modules.get(name)
    return {
        **_row(group, plugin, found.operators),
        "file": getattr(module, "__file__", None) or _file(name),
        "doc": " ".join(
            inspect.cleandoc(getattr(module, "__doc__", None) or "").split("\n\n")[0].split()
        ),
        "api": plugin.api,
        "traceback": plugin.traceback,
        **_operator(plugin.provides),
    }


def _operator(provides: Any) -> dict[str, Any]:
    """More about an operator's plugin."""
    from cml_core.ops.plugin import OpPlugin

    if not isinstance(provides, OpPlugin):
        return {}
    return {
        "domain": provides.schema.domain,
        "op_type": provides.schema.op_type,
        "since_versions": list(provides.schema.since_versions),
        "quantized": provides.quantized,
        "restrictions": provides.restrictions,
        "examples": len(provides.examples),
    }


def _file(name: str) -> str | None:
    """Where a module is that is not imported; nothing is imported to find out."""
    package = name.rpartition(".")[0]
    if package and package not in sys.modules:
        return None
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        return None if spec is None else spec.origin
    return None
