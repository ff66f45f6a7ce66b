"""Finding plugins and loading each one on its own, so that a broken one breaks nothing else.

An entry point in one of the groups below names a module (one plugin) or a package, whose public
modules (and public sub-packages) each become a plugin of their own; so does the package itself if
it defines the hook.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import warnings
from collections.abc import Iterable, Iterator
from importlib import metadata
from types import ModuleType
from typing import Any

import attrs
import pluggy

from cml_core.errors import PluginError
from cml_core.plugins import hookspecs

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


@attrs.frozen(slots=True)
class PluginGroup:
    """An entry point group and the hook that its modules answer."""

    entry_points: str
    hook: str
    result: str


OPERATORS = PluginGroup("cml.ops", "cml_op", "cml_core.ops.plugin:OpPlugin")
BACKENDS = PluginGroup("cml.fhe_backends", "cml_fhe_backend", "cml_core.fhe.backend:FheBackend")
IMPORTERS = PluginGroup("cml.importers", "cml_importer", "cml_core.plugins.importer:Importer")


@attrs.frozen(slots=True)
class LoadedPlugin:
    """What became of one plugin.

    Parameters
    ----------
    name : str
        The module's dotted name: under it the plugin is listed, blocked and overridden.
    distribution, version : str
        Where it comes from; empty if unknown.
    status : str
        `"loaded"`, `"blocked"` or `"failed"`.
    provides : object or None
        What its hook returned.
    error : str
        For a failed plugin, the error in one line.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: str = "loaded"
    provides: Any = None
    error: str = ""


def strict_from_environment() -> bool:
    """Whether `CML_STRICT_PLUGINS` asks that a broken plugin be fatal."""
    return os.environ.get("CML_STRICT_PLUGINS", "").lower() in {"1", "true", "yes", "on"}


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
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)

    loaded: dict[str, LoadedPlugin] = {}
    for point in sorted(points, key=lambda point: (point.value, point.name)):
        for plugin in _load_entry_point(manager, group, point, names):
            if plugin.name in loaded:
                continue
            if plugin.status == "failed":
                if strict:
                    raise PluginError(plugin.name, plugin.error, "Strict mode makes this fatal.")
                warnings.warn(
                    f"plugin {plugin.name!r} was left out: {plugin.error}",
                    PluginWarning,
                    stacklevel=3,
                )
            loaded[plugin.name] = plugin
    return tuple(loaded.values())


def _load_entry_point(
    manager: pluggy.PluginManager,
    group: PluginGroup,
    point: metadata.EntryPoint,
    blocked: frozenset[str],
) -> Iterator[LoadedPlugin]:
    distribution = getattr(point, "dist", None)
    origin = {
        "distribution": (distribution.name or "") if distribution else "",
        "version": (distribution.version or "") if distribution else "",
    }

    def load(name: str) -> Iterator[LoadedPlugin]:
        """The plugin that a module is, or those that a package's public modules are."""
        if _is_blocked(name, origin["distribution"], blocked):
            yield LoadedPlugin(name, **origin, status="blocked")
            return
        inner: list[str] = []
        try:
            module = importlib.import_module(name)
            is_package = hasattr(module, "__path__")
            inner = _public_modules(module) if is_package else []
            if not is_package or _defines_hook(module, group.hook):
                provides = _register(manager, group, name, module)
                yield LoadedPlugin(name, **origin, provides=provides)
        except (Exception, SystemExit) as error:
            yield LoadedPlugin(name, **origin, status="failed", error=_one_line(error))
        for one in inner:
            yield from load(one)

    try:
        root = point.module
    except Exception:
        error = f"entry point {point.name!r} names no module: {point.value!r}"
        yield LoadedPlugin(point.name, **origin, status="failed", error=error)
        return
    yield from load(root)


def _public_modules(package: ModuleType) -> list[str]:
    """Modules and packages directly inside a package whose name has no leading underscore."""
    found = pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    names = (info.name for info in found)
    return sorted(name for name in names if not name.rpartition(".")[2].startswith("_"))


def _defines_hook(package: ModuleType, hook: str) -> bool:
    """Whether a package has the hook itself, not only imported from one of its modules."""
    return getattr(vars(package).get(hook), "__module__", None) == package.__name__


def _is_blocked(name: str, distribution: str, blocked: frozenset[str]) -> bool:
    parts = name.split(".")
    prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    if blocked & prefixes:
        return True
    return bool(distribution) and as_project(distribution) in map(as_project, blocked)


def as_project(name: str) -> str:
    """A project's name as package indexes compare it, `My_Ops` as `my-ops`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _register(
    manager: pluggy.PluginManager, group: PluginGroup, name: str, module: ModuleType
) -> Any:
    """Register one module with pluggy and return what its own hook implementation answers."""
    manager.register(module, name=name)
    try:
        caller = getattr(manager.hook, group.hook)
        own = [impl for impl in caller.get_hookimpls() if impl.plugin is module]
        if not own:
            raise TypeError(f"it has no {group.hook}() marked with hookimpl")
        answer = own[0].function()
        expected = _result_type(group)
        if not isinstance(answer, expected):
            raise TypeError(
                f"{group.hook}() returned {type(answer).__name__}, expected {expected.__name__}"
            )
    except BaseException:
        manager.unregister(module)
        raise
    return answer


def _result_type(group: PluginGroup) -> type:
    module, _, name = group.result.partition(":")
    result: type = getattr(importlib.import_module(module), name)
    return result


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
