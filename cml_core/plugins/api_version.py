"""The version of the plugin API, and which plugins it can serve.

A plugin says what it was written for by `CML_API = "1.0"` in its module, or in a package for all
modules in it. The declaration is read before the hook is called, and from the source if the
module cannot even be imported.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from typing import Any

from cml_core.errors import PluginError

__all__ = ["API_VERSION", "DECLARATION", "OLDEST_API", "check_api", "check_source"]

#: Version of what `cml_core.plugin_api` offers. The second number grows with what is added, the
#: first with what is taken away or changes its meaning.
API_VERSION = "1.0"
#: Oldest version whose plugins still work.
OLDEST_API = "1.0"
#: What a plugin counts as that declares nothing.
UNDECLARED = "1.0"
#: Name under which a module or package declares the version that it was written for.
DECLARATION = "CML_API"

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
_IN_SOURCE = re.compile(
    rf"""^{DECLARATION}\s*(?::[^=\n]*)?=\s*["']?(\d+(?:\.\d+)?)""", re.MULTILINE
)


def check_api(name: str) -> str:
    """Return the version that an imported module declares, itself or by a package around it.

    Empty if nobody declares one, which counts as 1.0.

    Raises
    ------
    PluginError
        This cml cannot serve that version, or it is none.
    """
    for one in _outward(name):
        module = sys.modules.get(one)
        declared = None if module is None else vars(module).get(DECLARATION)
        if declared is not None:
            return _checked(name, declared)
    _checked(name, UNDECLARED)
    return ""


def check_source(name: str) -> None:
    """Do the same for a module that cannot be imported, from its source.

    Raises
    ------
    PluginError
        This cml cannot serve that version.
    """
    for one in _outward(name):
        found = _IN_SOURCE.search(_source(one))
        if found:
            _checked(name, found[1])
            return


def _outward(name: str) -> Iterator[str]:
    """A module's name and those of the packages around it, the innermost first."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _source(name: str) -> str:
    with contextlib.suppress(Exception):
        spec = importlib.util.find_spec(name)
        return str(spec.loader.get_source(name))  # type: ignore[union-attr]
    return ""


def _checked(name: str, declared: Any) -> str:
    version = _parsed(declared)
    if version is None:
        raise PluginError(
            name,
            f"its {DECLARATION} is {declared!r}, expected text such as {API_VERSION!r}",
        )
    said = ".".join(map(str, version))
    if version > _pair(API_VERSION):
        raise PluginError(
            name,
            f"it was written for plugin API {said}, and this cml has {API_VERSION}",
            f"Upgrade cml, or install a version of the plugin for API {API_VERSION}.",
        )
    if version < _pair(OLDEST_API):
        raise PluginError(
            name,
            f"it was written for plugin API {said}, and this cml has {API_VERSION}, which serves "
            f"plugins from {OLDEST_API} on",
            "Upgrade the plugin, or install an older cml.",
        )
    return said


def _parsed(declared: Any) -> tuple[int, int] | None:
    if isinstance(declared, int) and not isinstance(declared, bool):
        declared = str(declared)
    found = _VERSION.fullmatch(declared) if isinstance(declared, str) else None
    return None if found is None else (int(found[1]), int(found[2] or 0))


def _pair(version: str) -> tuple[int, ...]:
    """A version of this module's own."""
    return tuple(map(int, version.split(".")))
