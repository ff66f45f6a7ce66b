"""Finding plugins and loading each one on its own, so that a broken one breaks nothing else.

An entry point in one of the groups below names a module (one plugin) or a package, whose public
modules (and public sub-packages) each become a plugin of their own; so does the package itself if
it defines the hook.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from collections.abc import Iterable, Iterator
from importlib import metadata

import pluggy

from cml_core.errors import ConfigError, PluginError
from cml_core.plugins import hookspecs
from cml_core.plugins.faults import as_project
from cml_core.plugins.loading import LoadedPlugin, Origin, PluginGroup, load_module
from cml_core.plugins.watching import Watch, watching
from cml_core.telling import tell

__all__ = [
    "BACKENDS",
    "IMPORTERS",
    "OPERATORS",
    "LoadedPlugin",
    "PluginGroup",
    "PluginWarning",
    "as_project",
    "load_group",
    "strict_from_environment",
]


class PluginWarning(UserWarning):
    """A plugin failed and was left out."""


OPERATORS = PluginGroup(
    "cml.ops",
    "cml_op",
    "cml_core.ops.plugin:OpPlugin",
    api="cml_core.plugin_api",
    examine="cml_core.plugins.op_checks:examine",
)
BACKENDS = PluginGroup("cml.fhe_backends", "cml_fhe_backend", "cml_core.fhe.backend:FheBackend")
IMPORTERS = PluginGroup("cml.importers", "cml_importer", "cml_core.plugins.importer:Importer")


def strict_from_environment() -> bool:
    """Whether `CML_STRICT_PLUGINS` asks that a broken plugin be fatal.

    Raises
    ------
    ConfigError
        It is set to something that is neither yes nor no.
    """
    text = os.environ.get("CML_STRICT_PLUGINS", "")
    meant = {"1": True, "true": True, "yes": True, "on": True}
    meant |= {"": False, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in meant:
        raise ConfigError("CML_STRICT_PLUGINS", text, "1 or 0")
    return meant[text.lower()]


def blocked_from_environment() -> frozenset[str]:
    """The plugin names in `CML_DISABLE_PLUGINS`, separated by commas or white space."""
    return frozenset(os.environ.get("CML_DISABLE_PLUGINS", "").replace(",", " ").split())


def load_group(
    group: PluginGroup,
    *,
    strict: bool | None = None,
    blocked: Iterable[str] | None = None,
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> tuple[LoadedPlugin, ...]:
    """Load every plugin of a group, each isolated from the others.

    Parameters
    ----------
    group : PluginGroup
        Which entry points to read and which hook to ask.
    strict : bool, optional
        Raise on the first broken plugin. By default `CML_STRICT_PLUGINS` decides.
    blocked : iterable of str, optional
        Names (of plugins, packages or distributions) to leave out, by default those in
        `CML_DISABLE_PLUGINS`.
    entry_points : iterable of EntryPoint, optional
        Read these in place of those installed.

    Raises
    ------
    PluginError
        In strict mode, for the first plugin that fails.
    """
    strict = strict_from_environment() if strict is None else strict
    names = blocked_from_environment() if blocked is None else frozenset(blocked)
    points = (
        metadata.entry_points(group=group.entry_points) if entry_points is None else entry_points
    )
    if group.api:
        importlib.import_module(group.api)
    loaded: dict[str, LoadedPlugin] = {}
    with watching() as watch:
        for plugin in _load_entry_points(group, points, names, watch):
            if strict and plugin.status == "failed":
                raise PluginError(
                    plugin.name,
                    plugin.error,
                    " ".join(filter(None, (plugin.hint, "Strict mode makes this fatal."))),
                )
            loaded.setdefault(plugin.name, plugin)
    for plugin in loaded.values():
        if plugin.status == "failed":
            text = f"plugin {plugin.name!r} was left out: {plugin.reason}"
            tell(text, PluginWarning)
    if blocked is None and entry_points is None:
        known = _known_names(loaded.values())
        for name in sorted(name for name in names if not {name, as_project(name)} & known):
            tell(f"CML_DISABLE_PLUGINS names {name!r}, and no plugin has that name", PluginWarning)
    return tuple(loaded.values())


def _known_names(plugins: Iterable[LoadedPlugin]) -> frozenset[str]:
    """What may be written to block plugins: those given, and all of the other groups."""
    names: set[str] = set()
    others = (metadata.entry_points(group=g.entry_points) for g in (OPERATORS, BACKENDS, IMPORTERS))
    modules = {p.name: p.distribution for p in plugins}
    for point in itertools.chain.from_iterable(others):
        modules[point.value.partition(":")[0]] = _origin(point).distribution
    for module, distribution in modules.items():
        parts = module.split(".")
        names.update(".".join(parts[:count]) for count in range(1, len(parts) + 1))
        names.update({distribution, as_project(distribution)})
    return frozenset(names)


def _load_entry_points(
    group: PluginGroup,
    points: Iterable[metadata.EntryPoint],
    blocked: frozenset[str],
    watch: Watch,
) -> Iterator[LoadedPlugin]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    done: set[str] = set()

    def load(name: str, origin: Origin, package: LoadedPlugin | None) -> Iterator[LoadedPlugin]:
        """The plugin that a module is, or those that a package's public modules are."""
        if name in done:
            return
        done.add(name)
        by = _blocked_by(name, origin.distribution, blocked)
        if by:
            note = f"{by!r} is blocked"
            yield LoadedPlugin(name, origin.distribution, origin.version, "blocked", notes=(note,))
            return
        plugin, inner = load_module(group, manager, name, origin, watch, package)
        is_plugin = bool(plugin.status)
        if is_plugin:
            yield plugin
        for place, one in enumerate(inner):
            yield from load(one, origin, None if is_plugin or place else plugin)

    for point in sorted(points, key=lambda point: (point.value, point.name)):
        root = ""
        with contextlib.suppress(Exception):
            root = point.module
        if root:
            yield from load(root, _origin(point), None)
        else:
            origin = _origin(point)
            error = f"entry point {point.name!r} names no module: {point.value!r}"
            yield LoadedPlugin(
                point.name, origin.distribution, origin.version, "failed", error=error
            )


def _origin(point: metadata.EntryPoint) -> Origin:
    distribution = getattr(point, "dist", None)
    if distribution is None:
        return Origin()
    return Origin(distribution.name or "", distribution.version or "")


def _blocked_by(name: str, distribution: str, blocked: frozenset[str]) -> str:
    """The name that blocks a plugin; empty if none does."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        prefix = ".".join(parts[:count])
        if prefix in blocked:
            return prefix
    if distribution and as_project(distribution) in map(as_project, blocked):
        return distribution
    return ""
