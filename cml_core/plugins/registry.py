"""The registry: an immutable table from operator revision to plugin."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import attrs
import onnx.defs

from cml_core.errors import DuplicateOperatorError, PluginError, UnsupportedNode
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpKey, normalize_domain
from cml_core.plugins.discovery import OPERATORS, LoadedPlugin, load_group

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


def _frozen(ops: Mapping[OpKey, RegisteredOp]) -> Mapping[OpKey, RegisteredOp]:
    return MappingProxyType(dict(sorted(ops.items())))


@attrs.frozen(slots=True, eq=False, repr=False)
class OpRegistry:
    """Which plugin serves which operator revision. Built once, never changed.

    Parameters
    ----------
    ops : mapping of OpKey to RegisteredOp
        The table.
    plugins : tuple of LoadedPlugin
        Every plugin that was found, also those blocked, failed or overridden.
    """

    ops: Mapping[OpKey, RegisteredOp] = attrs.field(converter=_frozen)
    plugins: tuple[LoadedPlugin, ...] = ()

    @classmethod
    def from_plugins(cls, plugins: Iterable[LoadedPlugin]) -> OpRegistry:
        """Gather loaded operator plugins; their order does not matter.

        Raises
        ------
        DuplicateOperatorError
            Two plugins claim one revision, and not exactly one overrides the other.
        PluginError
            A plugin overrides itself, or one that provides none of its revisions.
        """
        plugins = tuple(sorted(plugins, key=lambda plugin: plugin.name))
        claims: dict[OpKey, list[RegisteredOp]] = {}
        for source in plugins:
            if source.status != "loaded":
                continue
            entry = RegisteredOp(source.provides, source)
            for key in source.provides.schema.keys:
                claims.setdefault(key, []).append(entry)
        known = {source.name: source.status for source in plugins}
        for entries in claims.values():
            for entry in entries:
                _check_override(entry, known, claims)
        table = {key: _winner(key, entries) for key, entries in claims.items()}
        return cls(table, plugins)

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

    def revision(self, domain: str, op_type: str, opset: int) -> int | None:
        """Schema revision in force at `opset`, or None if the operator does not exist there."""
        domain = normalize_domain(domain)
        known = _onnx_revision(domain, op_type, opset)
        if known is not None:
            return known
        if _onnx_knows_domain(domain):
            return None
        versions = [
            key.since_version
            for key in self.ops
            if key.domain == domain and key.op_type == op_type and key.since_version <= opset
        ]
        return max(versions, default=None)

    def explain_missing(self, node: str, domain: str, op_type: str, opset: int) -> UnsupportedNode:
        """Say why no plugin serves a node, and what would help."""
        domain = normalize_domain(domain)
        version = self.revision(domain, op_type, opset)
        if version is None and _onnx_knows_domain(domain):
            return UnsupportedNode(node, domain, op_type, *_not_in_onnx(domain, op_type, opset))
        have = sorted(
            key.since_version for key in self.ops if (key.domain, key.op_type) == (domain, op_type)
        )
        if have:
            wanted = f"opset {opset}" if version is None else f"revision {version} (opset {opset})"
            reason = (
                f"no plugin implements {wanted} of {op_type}; "
                f"implemented are {', '.join(map(str, have))}"
            )
            hints = [f"Export the model at an opset that uses revision {have[-1]}."]
        else:
            reason = f"no plugin provides {op_type}"
            hints = ["Install a plugin that provides it, or write one."]
        for plugin in self.plugins:
            if plugin.status == "failed":
                hints.append(f"Plugin {plugin.name!r} failed to load ({plugin.error}).")
            elif plugin.status == "blocked":
                hints.append(f"Plugin {plugin.name!r} is blocked.")
        return UnsupportedNode(node, domain, op_type, reason, " ".join(hints))


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


@functools.cache
def _onnx_revision(domain: str, op_type: str, opset: int) -> int | None:
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else int(schema.since_version)


@functools.cache
def _onnx_history(domain: str, op_type: str) -> tuple[onnx.defs.OpSchema, ...]:
    """Every revision of an operator that ONNX ever had, oldest first."""
    found = [
        schema
        for schema in onnx.defs.get_all_schemas_with_history()
        if (schema.domain, schema.name) == (domain, op_type)
    ]
    return tuple(sorted(found, key=lambda schema: int(schema.since_version)))


def _not_in_onnx(domain: str, op_type: str, opset: int) -> tuple[str, str]:
    """Why ONNX itself has no such operator at an opset, and what would help."""
    where = domain or "ai.onnx"
    history = _onnx_history(domain, op_type)
    alive = [int(schema.since_version) for schema in history if not schema.deprecated]
    ended = [int(schema.since_version) for schema in history if schema.deprecated]
    later = [version for version in alive if version > opset]
    hint = f"Export the model at opset {later[0]} or newer." if later else ""
    if any(version <= opset for version in ended):
        end = max(version for version in ended if version <= opset)
        if not hint:
            hint = f"Export the model with what replaces it, or at an opset before {end}."
        return f"{where} deprecated it in opset {end}, and the model imports {opset}", hint
    if later:
        return f"it came into {where} with opset {later[0]}, and the model imports {opset}", hint
    reason = f"ONNX has no operator {op_type!r} in {where} opset {opset}"
    return reason, "Check the spelling and the domain."


@functools.cache
def _onnx_knows_domain(domain: str) -> bool:
    return domain in {schema.domain for schema in onnx.defs.get_all_schemas_with_history()}


@functools.cache
def default_registry() -> OpRegistry:
    """Return the registry of all installed operator plugins, loaded on first use."""
    return OpRegistry.from_plugins(load_group(OPERATORS))
