"""Finding the operators that someone names on a command line."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from cml_core.errors import ConfigError
from cml_core.plugins.discovery import (
    OPERATORS,
    LoadedPlugin,
    PluginWarning,
    as_project,
    load_group,
)

__all__ = ["import_from_here", "operators_of"]


def import_from_here() -> None:
    """Let packages in the current folder be imported, behind what is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def operators_of(
    names: Iterable[str], *, argument: str = "--cml-ops", parts: bool = False
) -> tuple[LoadedPlugin, ...]:
    """Load the operator plugins of packages, those that fail among them.

    Parameters
    ----------
    names : iterable of str
        Modules or packages that can be imported, entry points of the group `cml.ops`, or
        distributions that have some.
    argument : str
        What the names are called where they were given, for errors.
    parts : bool
        Whether a name may also be an operator, or a part of the names of installed plugins.

    Raises
    ------
    ConfigError
        There is nothing of that name, or it has no operators.
    """
    found: dict[str, LoadedPlugin] = {}
    for name in names:
        try:
            plugins = _of_package(name, argument)
        except ConfigError:
            plugins = _of_part(name) if parts else ()
            if not plugins:
                raise
        found.update((plugin.name, plugin) for plugin in plugins)
    return tuple(found.values())


def _of_package(name: str, argument: str) -> tuple[LoadedPlugin, ...]:
    plugins = _load(_entry_points(name, argument))
    if not any(plugin.status in ("loaded", "blocked") for plugin in plugins):
        faults = "; ".join(f"{p.name}: {p.error}" for p in plugins[:3]) or "it is empty"
        more = f"; and {len(plugins) - 3} more" if len(plugins) > 3 else ""
        raise ConfigError(argument, name, f"a package with operators ({faults}{more})")
    return plugins


def _of_part(name: str) -> tuple[LoadedPlugin, ...]:
    """Installed plugins of an operator, else those whose module is named so, or partly so."""
    plugins = _load(None)
    word = name.lower()
    for is_meant in (
        lambda p: p.status == "loaded" and p.provides.schema.op_type.lower() == word,
        lambda p: p.name.lower().endswith(f".{word}"),
        lambda p: word in p.name.lower(),
    ):
        found = tuple(filter(is_meant, plugins))
        if found:
            return found
    return ()


def _load(points: list[metadata.EntryPoint] | None) -> tuple[LoadedPlugin, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return load_group(OPERATORS, strict=False, entry_points=points)


def _entry_points(name: str, argument: str) -> list[metadata.EntryPoint]:
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
        raise ConfigError(argument, name, expected)
    return points


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
