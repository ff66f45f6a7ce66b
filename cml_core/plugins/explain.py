"""Why no plugin serves a node, and which ones nearly do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cml_core.errors import UnsupportedNode
from cml_core.ops.schema import OpKey, normalize_domain
from cml_core.plugins.loading import LoadedPlugin
from cml_core.plugins.onnx_schemas import knows_domain, not_in_onnx, opsets_of

if TYPE_CHECKING:
    from cml_core.plugins.registry import OpRegistry

__all__ = ["absent_by_name", "explain_missing", "remedies"]

#: Failed and blocked plugins that are quoted where any of them might be the one.
_QUOTED = 3


def explain_missing(
    registry: OpRegistry, node: str, domain: str, op_type: str, opset: int
) -> UnsupportedNode:
    """Say why no plugin serves a node, and what would help."""
    domain = normalize_domain(domain)
    reason = _reason(registry, domain, op_type, opset)
    hint = " ".join(remedies(registry, domain, op_type, opset))
    return UnsupportedNode(node, domain, op_type, reason, hint)


def remedies(registry: OpRegistry, domain: str, op_type: str, opset: int) -> tuple[str, ...]:
    """What would help where no plugin serves an operator, each remedy a sentence."""
    domain = normalize_domain(domain)
    version = registry.revision(domain, op_type, opset)
    others = tuple(_elsewhere(registry, domain, op_type))
    if version is None and knows_domain(domain):
        meant = _similar(registry, domain, op_type)
        hint = not_in_onnx(domain, op_type, opset)[1]
        return (*filter(None, [hint]), *meant, *others)
    claims = registry.contested.get(OpKey(domain, op_type, version or 0))
    if claims:
        settle = f"or let one declare overrides={claims[0]!r}."
        return (f"Block one of them with CML_DISABLE_PLUGINS, {settle}",)
    absent = _absent(registry)
    causes = absent_by_name(registry, op_type)
    have = _revisions(registry, domain, op_type)
    helpful = list(_quoted(causes))
    if have:
        helpful.append(_other_opset(domain, op_type, have, opset))
    elif causes:
        helpful += others
    else:
        helpful += _similar(registry, domain, op_type)
        helpful += [*others, "Install a plugin that provides it, or write one."]
    if not causes:
        helpful += _quoted(absent)
    return tuple(helpful)


def _reason(registry: OpRegistry, domain: str, op_type: str, opset: int) -> str:
    version = registry.revision(domain, op_type, opset)
    if version is None and knows_domain(domain):
        return not_in_onnx(domain, op_type, opset)[0]
    claims = registry.contested.get(OpKey(domain, op_type, version or 0))
    if claims:
        names = " and ".join(map(repr, claims))
        return f"plugins {names} both provide revision {version} of {op_type}"
    have = _revisions(registry, domain, op_type)
    if not have:
        return f"no plugin provides {op_type}"
    wanted = f"opset {opset}" if version is None else f"revision {version} (opset {opset})"
    listed = ", ".join(map(str, have))
    return f"no plugin implements {wanted} of {op_type}; implemented are {listed}"


def _revisions(registry: OpRegistry, domain: str, op_type: str) -> dict[int, str]:
    """The plugin of each revision that has one, oldest first."""
    return {
        key.since_version: entry.name
        for key, entry in registry.ops.items()
        if (key.domain, key.op_type) == (domain, op_type)
    }


def _other_opset(domain: str, op_type: str, have: Mapping[int, str], opset: int) -> str:
    """At which opset versions there is a plugin, those nearest to the model's first."""
    if not knows_domain(domain):
        newest = max(have)
        return (
            f"Export the model at an opset that uses revision {newest} (plugin {have[newest]!r})."
        )
    spans = [opsets_of(domain, op_type, revision) for revision in sorted(have, reverse=True)]
    spans.sort(key=lambda span: max(span[0] - opset, opset - (span[1] or opset)))
    nearest = spans[:2]
    said = " or ".join(map(_span, nearest))
    names = sorted({have[first] for first, _ in nearest})
    return (
        f"Export the model at opset {said} ({' and '.join(f'plugin {name!r}' for name in names)})."
    )


def _span(span: tuple[int, int | None]) -> str:
    first, last = span
    if last is None:
        return f"{first} and newer"
    return f"{first}" if last == first else f"{first} to {last}"


def _similar(registry: OpRegistry, domain: str, op_type: str) -> list[str]:
    """Operators of the same domain whose name is nearly the same."""
    names = {key.op_type.lower(): key.op_type for key in registry.ops if key.domain == domain}
    close = difflib.get_close_matches(op_type.lower(), names, n=2, cutoff=0.75)
    meant = [names[match] for match in close if names[match] != op_type]
    return [f"Did you mean {' or '.join(meant)}?"] if meant else []


def _elsewhere(registry: OpRegistry, domain: str, op_type: str) -> Iterator[str]:
    """Plugins for an operator of that name in another domain."""
    found = {}
    for key, entry in registry.ops.items():
        if key.op_type == op_type and key.domain != domain:
            found[key.domain] = entry
    for other, entry in found.items():
        form = "" if entry.plugin.quantized else ", in float only"
        yield f"Plugin {entry.name!r} provides {op_type} of {other or 'ai.onnx'}{form}."


def absent_by_name(registry: OpRegistry, op_type: str) -> list[LoadedPlugin]:
    """Plugins that failed or are blocked and sound like an operator: they are why it is missing."""
    return [plugin for plugin in _absent(registry) if _sounds_like(plugin.name, op_type)]


def _absent(registry: OpRegistry) -> list[LoadedPlugin]:
    return [plugin for plugin in registry.plugins if plugin.status in ("failed", "blocked")]


def _quoted(absent: list[LoadedPlugin]) -> Iterator[str]:
    """What became of plugins that failed or are blocked; only some if there are many."""
    for plugin in absent[:_QUOTED]:
        if plugin.status == "failed":
            yield f"Plugin {plugin.name!r} failed to load ({plugin.error})."
        else:
            yield f"Plugin {plugin.name!r} is blocked."
    if len(absent) > _QUOTED:
        yield f"{len(absent) - _QUOTED} more plugins failed or are blocked (cml plugins list)."


def _sounds_like(plugin: str, op_type: str) -> bool:
    """Whether a module has the operator's name: its snake case, with or without a version."""
    module = plugin.rpartition(".")[2].replace("_", "")
    return re.sub(r"\d+$", "", module) == re.sub(r"\d+$", "", op_type.replace("_", "").lower())
