"""Why a plugin failed, in words: what was raised, where, and what would help."""

from __future__ import annotations

import difflib
import re
import traceback
from importlib import metadata
from pathlib import Path

import attrs

from cml_core.errors import PluginError
from cml_core.plugins.api_version import API_VERSION, DECLARATION

__all__ = ["Fault", "as_project", "explain"]

#: Files whose frames say nothing about a plugin: this package, pluggy, and the import machinery.
_MACHINERY = (str(Path(__file__).parent), "<frozen importlib", "importlib/__init__.py")
_NO_NAME = re.compile(r"cannot import name '(\w+)' from '(cml_core[\w.]*)'")
_NO_KEYWORD = re.compile(r"(Op\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


@attrs.frozen(slots=True)
class Fault:
    """What went wrong with a plugin: in one line, what would help, and where it happened."""

    error: str
    hint: str = ""
    traceback: str = ""


def explain(error: BaseException, name: str, distribution: str = "") -> Fault:
    """Say what an error means that was raised while a plugin was loaded.

    Parameters
    ----------
    error : exception
        What was raised.
    name : str
        The plugin's module.
    distribution : str
        What installed it; empty if unknown.
    """
    if isinstance(error, PluginError):
        return Fault(error.reason, error.hint, _trace(error.__cause__))
    return Fault(_one_line(error), _hint(error, name, distribution), _trace(error))


def as_project(name: str) -> str:
    """A project's name as package indexes compare it, `My_Ops` as `my-ops`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _one_line(error: BaseException) -> str:
    said: object = error
    if len(error.args) > 1 and any(isinstance(arg, attrs.Attribute) for arg in error.args):
        said = error.args[0]  # attrs adds what only a program can use.
    text = " ".join(str(said).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hint(error: BaseException, name: str, distribution: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, name, distribution)
    if isinstance(error, ImportError) and (found := _NO_NAME.search(str(error))):
        return _missing_name(found[1], found[2])
    if isinstance(error, TypeError) and (found := _NO_KEYWORD.search(str(error))):
        return (
            f"{found[1]} of this cml (plugin API {API_VERSION}) knows no {found[2]!r}. "
            f"If the plugin needs a newer API, let it declare {DECLARATION}."
        )
    if isinstance(error, SystemExit):
        return "A module must not exit when it is imported; raise ImportError with the reason."
    return ""


def _missing_module(missing: str, name: str, distribution: str) -> str:
    top = missing.partition(".")[0]
    if top == name.partition(".")[0]:
        return f"{missing!r} is a module of its own package: it is installed incompletely."
    if top == "cml_core":
        return (
            f"This cml has no {missing!r}; plugins import from cml_core.plugin_api and nothing "
            "else of the core."
        )
    for requirement in _requirements(distribution):
        wanted = re.match(r"[\w.-]+", requirement)
        if wanted and as_project(wanted[0]) == as_project(top):
            extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", requirement)
            if extra:
                return f"Install it with: pip install '{distribution}[{extra[1]}]'."
            return f"Install it with: pip install '{requirement.partition(';')[0].strip()}'."
    if distribution:
        return f"Install what provides {top!r}; {distribution} does not declare that it needs it."
    return f"Install what provides {top!r}."


def _requirements(distribution: str) -> list[str]:
    try:
        return metadata.requires(distribution) or [] if distribution else []
    except metadata.PackageNotFoundError:
        return []


def _missing_name(missing: str, module: str) -> str:
    if module != "cml_core.plugin_api":
        return "Plugins import from cml_core.plugin_api and nothing else of the core."
    from cml_core import plugin_api

    close = difflib.get_close_matches(missing, plugin_api.__all__, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return (
        f"Plugin API {API_VERSION} has no {missing!r}.{meant} If the plugin needs another "
        f"version of the API, let it declare {DECLARATION}."
    )


def _trace(error: BaseException | None) -> str:
    """The traceback without what cml, pluggy and the import system did on the way."""
    if error is None:
        return ""
    found = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = found
    seen = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        kept = [frame for frame in part.stack if not frame.filename.startswith(_MACHINERY[:2])]
        kept = [frame for frame in kept if not frame.filename.endswith(_MACHINERY[2])]
        part.stack = traceback.StackSummary.from_list(kept)
        part = part.__cause__ or part.__context__
    return "".join(found.format()).rstrip()
