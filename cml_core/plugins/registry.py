"""The registry: an immutable table from operator revision to plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from cml_core.errors import DuplicateOperatorError, PluginError, UnsupportedNode
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpKey, normalize_domain
from cml_core.plugins.discovery import (
    OPERATORS,
    LoadedPlugin,
    PluginWarning,
    load_group,
    strict_from_environment,
)
from cml_core.plugins.explain import explain_missing
from cml_core.plugins.once import once
from cml_core.plugins.onnx_schemas import knows_domain, revision_at
from cml_core.plugins.op_checks import examine
from cml_core.telling import tell

__all__ = ["OpRegistry", "RegisteredOp", "default_registry"]


@attrs.frozen(slots=True, eq=False, repr=False)
class RegisteredOp:
    """An operator plugin in the registry, with where it comes from."""

    plugin: OpPlugin
    source: LoadedPlugin

    @property
    def name(self) -> str:
        """The name under which the plugin is listed, blocked and overridden."""
        return self.source.name


def _frozen(ops: Mapping[OpKey, Any]) -> Mapping[OpKey, Any]:
    return MappingProxyType(dict(sorted(ops.items(), key=lambda item: item[0])))


@attrs.frozen(slots=True, eq=False, repr=False)
class OpRegistry:
    """Which plugin serves which operator revision. Built once, never changed.

    Parameters
    ----------
    ops : mapping of OpKey to RegisteredOp
        The table.
    plugins : tuple of LoadedPlugin
        Every plugin that was found, also those blocked, failed or overridden.
    contested : mapping of OpKey to tuple of str
        Revisions that nothing serves because several plugins claim them, with two of their names.
    """

    ops: Mapping[OpKey, RegisteredOp] = attrs.field(converter=_frozen)
    plugins: tuple[LoadedPlugin, ...] = ()
    contested: Mapping[OpKey, tuple[str, str]] = attrs.field(factory=dict, converter=_frozen)

    @classmethod
    def from_plugins(cls, plugins: Iterable[LoadedPlugin], *, strict: bool = True) -> OpRegistry:
        """Gather loaded operator plugins; their order does not matter.

        Parameters
        ----------
        plugins : iterable of LoadedPlugin
            What `load_group` gave.
        strict : bool
            Raise where plugins contradict each other. If not, a revision that several claim is
            left to none of them, and a plugin with a wrong override counts as failed.

        Raises
        ------
        DuplicateOperatorError
            Two plugins claim one revision, and not exactly one overrides the other.
        PluginError
            A plugin overrides itself, or one that provides none of its revisions.
        """
        plugins = tuple(sorted(plugins, key=lambda plugin: plugin.name))
        wrong = _wrong_overrides(plugins)
        while wrong:
            if strict:
                raise next(iter(wrong.values()))
            plugins = tuple(_failed(p, wrong[p.name]) if p.name in wrong else p for p in plugins)
            wrong = _wrong_overrides(plugins)
        table, contested = {}, {}
        for key, entries in _claims(plugins).items():
            try:
                table[key] = _winner(key, entries)
            except DuplicateOperatorError as error:
                if strict:
                    raise
                contested[key] = error.plugins
        return cls(table, plugins, contested)

    def with_plugins(self, *plugins: OpPlugin) -> OpRegistry:
        """Add operators that are not installed, say to try them in a notebook.

        They come before whatever provides their revisions here.

        Parameters
        ----------
        *plugins : OpPlugin
            The operators.

        Returns
        -------
        OpRegistry
            A new registry, for `NumpyModule.from_onnx(model, registry=…)`.

        Raises
        ------
        PluginError
            ONNX has no such operator or revision, or a function cannot be called as it will be.
        DuplicateOperatorError
            Two of them provide one revision.
        """
        given: dict[OpKey, RegisteredOp] = {}
        sources = [LoadedPlugin(f"with_plugins[{k}]", provides=p) for k, p in enumerate(plugins)]
        for plugin, source in zip(plugins, sources, strict=True):
            examine(source.name, plugin)
            for key in plugin.schema.keys:
                if key in given:
                    raise DuplicateOperatorError(str(key), (given[key].name, source.name))
                given[key] = RegisteredOp(plugin, source)
        contested = {key: names for key, names in self.contested.items() if key not in given}
        return OpRegistry({**self.ops, **given}, (*self.plugins, *sources), contested)

    @property
    def conflicts(self) -> tuple[DuplicateOperatorError, ...]:
        """Why `contested` revisions have no plugin, once for every two plugins."""
        pairs: dict[tuple[str, str], list[str]] = {}
        for key, names in self.contested.items():
            pairs.setdefault(names, []).append(str(key))
        return tuple(
            DuplicateOperatorError(", ".join(keys), names) for names, keys in pairs.items()
        )

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[RegisteredOp]:
        """Each registered plugin once, ordered by domain and operator."""
        seen: dict[int, RegisteredOp] = {}
        for entry in self.ops.values():
            seen.setdefault(id(entry.plugin), entry)
        return iter(seen.values())

    def find(self, op_type: str, domain: str = "") -> tuple[RegisteredOp, ...]:
        """Every plugin for an operator, whatever its revision."""
        domain = normalize_domain(domain)
        found: dict[int, RegisteredOp] = {}
        for key, entry in self.ops.items():
            if key.op_type == op_type and key.domain == domain:
                found.setdefault(id(entry.plugin), entry)
        return tuple(found.values())

    def resolve(self, domain: str, op_type: str, opset: int) -> tuple[OpKey, RegisteredOp] | None:
        """Find the plugin for an operator in a model that imports `opset` of `domain`.

        The revision in force is what `onnx.defs` says it is; for domains that `onnx.defs` does
        not know, the newest registered revision that is not newer than the opset.
        """
        version = self.revision(domain, op_type, opset)
        if version is None:
            return None
        key = OpKey(domain, op_type, version)
        entry = self.ops.get(key)
        return None if entry is None else (key, entry)

    def serves(self, domain: str, op_type: str, opset: int) -> bool:
        """Whether there is a plugin for an operator in a model that imports `opset` of `domain`."""
        return self.resolve(domain, op_type, opset) is not None

    def revision(self, domain: str, op_type: str, opset: int) -> int | None:
        """Schema revision in force at `opset`, or None if the operator does not exist there."""
        domain = normalize_domain(domain)
        known = revision_at(domain, op_type, opset)
        if known is not None:
            return known
        if knows_domain(domain):
            return None
        versions = [
            key.since_version
            for key in (*self.ops, *self.contested)
            if key.domain == domain and key.op_type == op_type and key.since_version <= opset
        ]
        return max(versions, default=None)

    def explain_missing(self, node: str, domain: str, op_type: str, opset: int) -> UnsupportedNode:
        """Say why no plugin serves a node, and what would help."""
        return explain_missing(self, node, domain, op_type, opset)


def _claims(plugins: Iterable[LoadedPlugin]) -> dict[OpKey, list[RegisteredOp]]:
    """Which loaded plugins provide which revision."""
    claims: dict[OpKey, list[RegisteredOp]] = {}
    for source in plugins:
        if source.status == "loaded":
            entry = RegisteredOp(source.provides, source)
            for key in source.provides.schema.keys:
                claims.setdefault(key, []).append(entry)
    return claims


def _wrong_overrides(plugins: Iterable[LoadedPlugin]) -> dict[str, PluginError]:
    """Plugins that override themselves or what they cannot override, by name."""
    plugins = tuple(plugins)
    claims = _claims(plugins)
    known = {source.name: source.status for source in plugins}
    wrong: dict[str, PluginError] = {}
    for entries in claims.values():
        for entry in entries:
            try:
                _check_override(entry, known, claims)
            except PluginError as error:
                wrong[entry.name] = error
    return wrong


def _failed(plugin: LoadedPlugin, error: PluginError) -> LoadedPlugin:
    return attrs.evolve(plugin, status="failed", provides=None, error=error.reason, hint=error.hint)


def _check_override(
    entry: RegisteredOp, known: Mapping[str, str], claims: Mapping[OpKey, list[RegisteredOp]]
) -> None:
    target = entry.plugin.overrides
    if target == entry.name:
        raise PluginError(entry.name, "it overrides itself")
    if target is None or known.get(target) in {"blocked", "failed"}:
        return
    mine = set(entry.plugin.schema.keys)
    others = {other.name for key in mine for other in claims[key]} - {entry.name}
    if target not in others:
        raise PluginError(
            entry.name,
            f"it overrides {target!r}, which provides none of its operator revisions",
            f"Other plugins for this operator: {', '.join(sorted(others)) or 'none'}.",
        )


def _winner(key: OpKey, entries: list[RegisteredOp]) -> RegisteredOp:
    overridden = {entry.plugin.overrides for entry in entries}
    left = [entry for entry in entries if entry.name not in overridden]
    if len(left) == 1:
        # Each overrides one other: the winner's chain takes in all of them, or there is a circle.
        by_name = {entry.name: entry for entry in entries}
        chain, target = 1, left[0].plugin.overrides
        while target in by_name and chain <= len(entries):
            chain, target = chain + 1, by_name[target].plugin.overrides
        if chain == len(entries):
            return left[0]
    first, second, *_ = left if len(left) > 1 else entries
    raise DuplicateOperatorError(str(key), (first.name, second.name))


@once
def default_registry() -> OpRegistry:
    """Return the registry of all installed operator plugins, loaded on first use.

    What plugins contradict each other in is left to none of them, and told in a warning; it is an
    error if `CML_STRICT_PLUGINS` is set.
    """
    found = load_group(OPERATORS)
    registry = OpRegistry.from_plugins(found, strict=strict_from_environment())
    loaded = {plugin.name for plugin in found if plugin.status == "loaded"}
    told = [
        f"plugin {plugin.name!r} was left out: {plugin.reason}"
        for plugin in registry.plugins
        if plugin.status == "failed" and plugin.name in loaded
    ]
    for text in (*told, *(error.message() for error in registry.conflicts)):
        tell(text, PluginWarning)
    return registry
