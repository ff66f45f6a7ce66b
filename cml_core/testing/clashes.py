"""Plugins that claim one operator revision, so that none of them serves it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

from cml_core.errors import DuplicateOperatorError
from cml_core.plugins.discovery import OPERATORS, LoadedPlugin, PluginWarning, load_group
from cml_core.plugins.registry import OpRegistry

__all__ = ["clashes"]


def clashes(
    checked: Iterable[LoadedPlugin],
) -> tuple[Mapping[str, DuplicateOperatorError], tuple[DuplicateOperatorError, ...]]:
    """What keeps plugins from serving, once they are installed.

    Parameters
    ----------
    checked : iterable of LoadedPlugin
        The plugins.

    Returns
    -------
    failures : mapping
        By the name of a plugin, how it clashes with another of them.
    remarks : tuple of DuplicateOperatorError
        How they clash with others that are installed.
    """
    checked = tuple(checked)
    mine = {plugin.name for plugin in checked}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        installed = load_group(OPERATORS, strict=False)
    known = {plugin.name: plugin for plugin in (*installed, *checked)}
    registry = OpRegistry.from_plugins(known.values(), strict=False)
    among: dict[tuple[str, str], list[str]] = {}
    beyond: dict[tuple[str, str], list[str]] = {}
    for key in registry.contested:
        claiming = [
            plugin
            for plugin in registry.plugins
            if plugin.status == "loaded" and key in plugin.provides.schema.keys
        ]
        overridden = {plugin.provides.overrides for plugin in claiming}
        left = [plugin.name for plugin in claiming if plugin.name not in overridden]
        names = left if len(left) > 1 else [plugin.name for plugin in claiming]
        for name in filter(mine.__contains__, names):
            other = next((n for n in names if n in mine and n != name), "")
            if other:
                among.setdefault((name, other), []).append(str(key))
            else:
                first = next(n for n in names if n != name)
                beyond.setdefault((first, name), []).append(str(key))
    failures = {
        pair[0]: DuplicateOperatorError(", ".join(keys), pair) for pair, keys in among.items()
    }
    remarks = (DuplicateOperatorError(", ".join(keys), pair) for pair, keys in beyond.items())
    return failures, tuple(remarks)
