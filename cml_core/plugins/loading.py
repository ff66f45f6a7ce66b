"""Loading one plugin: import, version, hook and answer, each fault told in words."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from types import ModuleType
from typing import Any

import attrs
import pluggy

from cml_core.errors import PluginError
from cml_core.plugins.api_version import check_api, check_source
from cml_core.plugins.faults import Fault, explain
from cml_core.plugins.watching import Watch

__all__ = ["LoadedPlugin", "Origin", "PluginGroup", "load_module"]

#: Seconds from which on a plugin's list entry says that it is slow.
SLOW = 2.0


@attrs.frozen(slots=True)
class PluginGroup:
    """An entry point group and the hook that its modules answer.

    Parameters
    ----------
    entry_points : str
        Name of the entry point group.
    hook : str
        Name of the hook.
    result : str
        What the hook returns, as `module:class`.
    api : str
        The module that all plugins of the group import; its own import is not theirs.
    examine : str
        A function as `module:function` that is called with a plugin's name and what its hook
        returned, gives notes, and raises `PluginError` if it can never work.
    """

    entry_points: str
    hook: str
    result: str
    api: str = ""
    examine: str = ""


@attrs.frozen(slots=True)
class Origin:
    """The distribution that brings a plugin; empty if unknown."""

    distribution: str = ""
    version: str = ""


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
    hint : str
        What would help.
    traceback : str
        Where the error was raised.
    api : str
        Version of the plugin API that it declares; empty if none.
    seconds : float
        How long it took to import and to answer.
    notes : tuple of str
        What else its author or user should know.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: str = "loaded"
    provides: Any = None
    error: str = ""
    hint: str = attrs.field(default="", kw_only=True)
    traceback: str = attrs.field(default="", kw_only=True, repr=False)
    api: str = attrs.field(default="", kw_only=True)
    seconds: float = attrs.field(default=0.0, kw_only=True, eq=False)
    notes: tuple[str, ...] = attrs.field(default=(), kw_only=True)

    @property
    def reason(self) -> str:
        """The error and what would help."""
        return f"{self.error.rstrip('.')}. {self.hint}" if self.hint else self.error


def load_module(
    group: PluginGroup,
    manager: pluggy.PluginManager,
    name: str,
    origin: Origin,
    watch: Watch,
    package: LoadedPlugin | None = None,
) -> tuple[LoadedPlugin, list[str]]:
    """Load one module; it fails by what the result says, never by an exception.

    Parameters
    ----------
    group : PluginGroup
        Which hook to ask.
    manager : PluginManager
        Where to register it.
    name : str
        The module.
    origin : Origin
        Where it comes from.
    watch : Watch
        Tells what happens meanwhile.
    package : LoadedPlugin, optional
        The package around it, if that is no plugin itself and this is its first module: what its
        import took and did goes to this one.

    Returns
    -------
    The plugin, with neither status nor error if the module is a package without the hook, and
    the public modules in it.
    """
    notes: tuple[str, ...] = () if package is None else package.notes
    start, before = time.perf_counter(), len(sys.modules)
    found: dict[str, Any] = {}
    inner: list[str] = []
    try:
        module = importlib.import_module(name)
        found["api"] = check_api(name)
        is_package = hasattr(module, "__path__")
        inner = _public_modules(module) if is_package else []
        if is_package and not _defines_hook(module, group.hook):
            found["status"] = ""
        else:
            found["provides"] = _register(manager, group, name, module)
            notes += _examine(group, name, found["provides"])
    except (Exception, SystemExit) as error:
        fault = _fault(error, name, origin.distribution)
        found.pop("provides", None)
        found.update(status="failed", **attrs.asdict(fault))
    seconds = time.perf_counter() - start
    whose = f"package {name} " if found.get("status") == "" else ""
    if seconds > SLOW:
        notes += (f"{whose}took {seconds:.1f} s to load{_imported(name, before)}",)
    notes += tuple(f"{whose}{note}" for note in watch.notes())
    found["seconds"] = seconds + (0.0 if package is None else package.seconds)
    return LoadedPlugin(name, origin.distribution, origin.version, **found, notes=notes), inner


def _public_modules(package: ModuleType) -> list[str]:
    """Modules and packages directly inside a package whose name has no leading underscore."""
    found = pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    names = (info.name for info in found)
    return sorted(name for name in names if not name.rpartition(".")[2].startswith("_"))


def _defines_hook(package: ModuleType, hook: str) -> bool:
    """Whether a package has the hook itself, not only imported from one of its modules."""
    return getattr(vars(package).get(hook), "__module__", None) == package.__name__


def _register(
    manager: pluggy.PluginManager, group: PluginGroup, name: str, module: ModuleType
) -> Any:
    """Register one module with pluggy and return what its own hook implementation answers."""
    try:
        manager.register(module, name=name)
        caller = getattr(manager.hook, group.hook)
        own = [impl for impl in caller.get_hookimpls() if impl.plugin is module]
        if not own:
            raise PluginError(name, *_no_hook(manager, group, module))
        answer = own[0].function()
        expected = _named(group.result)
        if not isinstance(answer, expected):
            raise PluginError(name, *_wrong_type(group, answer, expected))
    except BaseException as error:
        if manager.is_registered(module):
            manager.unregister(module)
        if isinstance(error, pluggy.PluginValidationError):
            hint = f"{group.hook}() takes no arguments."
            raise PluginError(name, _validation(error), hint) from error
        raise
    return answer


def _validation(error: pluggy.PluginValidationError) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"


def _no_hook(
    manager: pluggy.PluginManager, group: PluginGroup, module: ModuleType
) -> tuple[str, str]:
    """Why a module has no hook implementation, and what would help."""
    reason = f"it has no {group.hook}() marked with hookimpl"
    if callable(vars(module).get(group.hook)):
        return reason, f"Put @hookimpl of cml_core.plugin_api before {group.hook}()."
    mark = f"{manager.project_name}_impl"
    others = [name for name, value in vars(module).items() if getattr(value, mark, None)]
    return reason, f"It marks {others[0]}(): name that {group.hook}()." if others else ""


def _wrong_type(group: PluginGroup, answer: Any, expected: type) -> tuple[str, str]:
    reason = f"{group.hook}() returned {type(answer).__name__}, expected {expected.__name__}"
    if answer is None:
        return reason, "It lacks a return statement."
    if isinstance(answer, (tuple, list)) and any(isinstance(one, expected) for one in answer):
        return reason, "A module provides one; put each into a module of its own."
    return reason, ""


def _examine(group: PluginGroup, name: str, answer: Any) -> tuple[str, ...]:
    return tuple(_named(group.examine)(name, answer)) if group.examine else ()


def _named(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _fault(error: BaseException, name: str, distribution: str) -> Fault:
    """What went wrong; the version that a module's source declares says more than an error does."""
    if not isinstance(error, PluginError):
        try:
            check_source(name)
        except PluginError as reason:
            reason.__cause__ = error
            error = reason
    return explain(error, name, distribution)


def _imported(name: str, before: int) -> str:
    """The libraries that were imported meanwhile, in words."""
    fresh = {module.partition(".")[0] for module in list(sys.modules)[before:]}
    names = sorted(one for one in fresh - {name.partition(".")[0]} if not one.startswith("_"))
    names = [one for one in names if one not in sys.stdlib_module_names]
    return f", importing {', '.join(names[:5])}" if names else ""
