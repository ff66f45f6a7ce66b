"""Finding the operators that someone names on a command line."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from importlib import metadata

from cml_core.errors import ConfigError
from cml_core.plugins.discovery import (
    OPERATORS,
    LoadedPlugin,
    PluginWarning,
    as_project,
    load_group,
)

__all__ = ["operators_of"]


def operators_of(names: Iterable[str]) -> tuple[LoadedPlugin, ...]:
    """Load the operator plugins of packages, those that fail among them.

    Parameters
    ----------
    names : iterable of str
        Modules or packages that can be imported, entry points of the group `cml.ops`, or
        distributions that have some.

    Raises
    ------
    ConfigError
        There is nothing of that name, or it has no operators.
    """
    found: dict[str, LoadedPlugin] = {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            plugins = load_group(OPERATORS, strict=False, entry_points=_entry_points(name))
        if not any(plugin.status in ("loaded", "blocked") for plugin in plugins):
            faults = "; ".join(f"{p.name}: {p.error}" for p in plugins[:3]) or "it is empty"
            more = f"; and {len(plugins) - 3} more" if len(plugins) > 3 else ""
            raise ConfigError("--cml-ops", name, f"a package with operators ({faults}{more})")
        found.update((plugin.name, plugin) for plugin in plugins)
    return tuple(found.values())


def _entry_points(name: str) -> list[metadata.EntryPoint]:
    """The installed entry points of that name, or one made up for a module that has none."""
    points = [
        point
        for point in metadata.entry_points(group=OPERATORS.entry_points)
        if name in (point.name, point.value)
        or (point.dist is not None and as_project(point.dist.name) == as_project(name))
    ]
    if not points and _can_be_imported(name):
        points = [metadata.EntryPoint(name, name, OPERATORS.entry_points)]
    if not points:
        expected = (
            "a module or package that can be imported, or an entry point of the group cml.ops, or "
            "a distribution that has some (is it installed, or is its folder on the import path?)"
        )
        raise ConfigError("--cml-ops", name, expected)
    return points


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
