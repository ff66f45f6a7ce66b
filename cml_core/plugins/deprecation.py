"""How what will be taken out of the plugin API says so while it is still there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs

__all__ = ["Deprecated", "PluginApiDeprecationWarning", "deprecated_names"]


class PluginApiDeprecationWarning(DeprecationWarning):
    """A plugin uses something of the plugin API that will be taken away."""


@attrs.frozen(slots=True)
class Deprecated:
    """A name that still works.

    Parameters
    ----------
    value : object
        What it stands for.
    since, gone : str
        Versions of the plugin API that announced it and that will not have it.
    instead : str
        What to use in its place.
    """

    value: Any
    since: str
    gone: str
    instead: str


def deprecated_names(module: str, names: Mapping[str, Deprecated]) -> Callable[[str], Any]:
    """Make a module's `__getattr__` that gives these names with a warning."""

    def get(name: str) -> Any:
        found = names.get(name)
        if found is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is deprecated since plugin API {found.since} and gone in "
            f"{found.gone}: use {found.instead}",
            PluginApiDeprecationWarning,
            stacklevel=2,
        )
        return found.value

    return get
