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

    ops: Mapping[OpKey, RegisteredOp]
    plugins: tuple[LoadedPlugin, ...] = ()

    @classmethod
    def from_plugins(cls, plugins: Iterable[LoadedPlugin]) -> OpRegistry:
        """Gather loaded operator plugins; their order does not matter.

        Raises
        ------
        DuplicateOperatorError
            Two plugins claim one revision, and not exactly one overrides the other.
        PluginError
            A plugin overrides one that provides none of its revisions.
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
        return cls(MappingProxyType(dict(sorted(table.items()))), plugins)

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
        others = self.find(op_type, domain)
        failed = [plugin for plugin in self.plugins if plugin.status == "failed"]
        blocked = [plugin for plugin in self.plugins if plugin.status == "blocked"]
        if version is None and _onnx_knows_domain(domain) and not others:
            reason = f"ONNX has no operator {op_type!r} in {domain or 'ai.onnx'} opset {opset}"
        elif others:
            have = sorted({v for entry in others for v in entry.plugin.schema.since_versions})
            reason = (
                f"no plugin implements revision {version} of {op_type} "
                f"(opset {opset}); implemented are {', '.join(map(str, have))}"
            )
        else:
            reason = f"no plugin provides {op_type}"
        hints = []
        if others:
            newest = max(v for entry in others for v in entry.plugin.schema.since_versions)
            hints.append(f"Export the model at an opset that uses revision {newest}.")
        else:
            hints.append("Install a plugin that provides it, or write one.")
        hints.extend(f"Plugin {p.name!r} failed to load ({p.error})." for p in failed)
        wanted = op_type.lower()
        hints.extend(
            f"Plugin {p.name!r} is blocked."
            for p in blocked
            if p.name.rpartition(".")[2].replace("_", "") in {wanted, wanted + "_"}
            or "." not in p.name
        )
        return UnsupportedNode(node, domain, op_type, reason, " ".join(hints))


def _check_override(
    entry: RegisteredOp, known: Mapping[str, str], claims: Mapping[OpKey, list[RegisteredOp]]
) -> None:
    target = entry.plugin.overrides
    if target is None or known.get(target) in {"blocked", "failed"}:
        return
    mine = set(entry.plugin.schema.keys)
    if not any(other.name == target for key in mine for other in claims[key]):
        raise PluginError(
            entry.name,
            f"it overrides {target!r}, which provides none of its operator revisions",
            f"Known plugins for this operator: "
            f"{sorted({o.name for k in mine for o in claims[k]} - {entry.name}) or 'none'}.",
        )


def _winner(key: OpKey, entries: list[RegisteredOp]) -> RegisteredOp:
    overridden = {entry.plugin.overrides for entry in entries}
    left = [entry for entry in entries if entry.name not in overridden]
    if len(left) == 1:
        return left[0]
    first, second, *_ = left or entries
    raise DuplicateOperatorError(str(key), (first.name, second.name))


@functools.cache
def _onnx_revision(domain: str, op_type: str, opset: int) -> int | None:
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else int(schema.since_version)


@functools.cache
def _onnx_knows_domain(domain: str) -> bool:
    return domain in {"", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"}


@functools.cache
def default_registry() -> OpRegistry:
    """Return the registry of all installed operator plugins, loaded on first use."""
    return OpRegistry.from_plugins(load_group(OPERATORS))
