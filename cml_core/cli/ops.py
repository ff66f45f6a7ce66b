"""`cml ops`: which operators there are, and everything about one of them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from cml_core.cli.failures import guarded
from cml_core.cli.terminal import show_facts, show_json, show_table, show_text
from cml_core.errors import CmlError

if TYPE_CHECKING:
    from cml_core.ops.example import OpExample
    from cml_core.ops.schema import OpKey
    from cml_core.plugins.registry import OpRegistry, RegisteredOp

__all__ = ["UnknownOperatorError", "app", "missing_operators", "operators"]

app = typer.Typer(no_args_is_help=True, help="List operators, or show one of them.")

#: Domains whose operators `--missing` compares with.
_COMPARED = ("", "ai.onnx.ml")


@attrs.define(eq=False, slots=False)
class UnknownOperatorError(CmlError):
    """No plugin provides an operator of that name."""

    name: str
    revisions: tuple[int, ...] = ()
    similar: tuple[str, ...] = ()

    def message(self) -> str:
        """Say whether ONNX knows it, and what is similar."""
        if self.revisions:
            have = ", ".join(map(str, self.revisions))
            return (
                f"no plugin provides {self.name}, which ONNX has in revisions {have}. "
                "Install a plugin that provides it, or write one."
            )
        hint = f" Did you mean {' or '.join(self.similar)}?" if self.similar else ""
        return f"there is no operator {self.name!r}.{hint}"


# --- cml ops list -------------------------------------------------------------------------------


@app.command("list")
@guarded
def list_operators(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="List what ONNX has and no plugin provides.")
    ] = False,
) -> None:
    """List the operators: revisions, plugin, float, quantized, kind and restrictions."""
    from cml_core.plugins.registry import default_registry

    registry = default_registry()
    rows = missing_operators(registry) if missing else operators(registry)
    if as_json:
        show_json(rows)
        return
    if missing:
        show_table(("operator", "revisions"), [(_name(row), _versions(row)) for row in rows])
        revisions = sum(len(row["since_versions"]) for row in rows)
        show_text(f"\n{len(rows)} operators of ONNX lack a plugin in {revisions} revisions")
        return
    columns = ("operator", "revisions", "float", "quantized", "kind", "plugin", "restrictions")
    show_table(columns, map(_cells, rows))
    names = {(row["domain"], row["op_type"]) for row in rows}
    quantized = {(row["domain"], row["op_type"]) for row in rows if row["quantized"]}
    show_text(
        f"\n{len(names)} operators by {len(rows)} plugins: {len(quantized)} float and quantized, "
        f"{len(names - quantized)} float only"
    )


def operators(registry: OpRegistry) -> list[dict[str, Any]]:
    """One row of plain data for each plugin in force."""
    return [
        {
            "domain": entry.plugin.schema.domain,
            "op_type": entry.plugin.schema.op_type,
            "since_versions": [key.since_version for key in keys],
            "plugin": entry.name,
            "package": _package(entry),
            "float": True,
            "quantized": entry.plugin.quantized,
            "kind": entry.plugin.schema.kind.value,
            "restrictions": entry.plugin.restrictions,
        }
        for entry, keys in _in_force(registry)
    ]


def missing_operators(registry: OpRegistry) -> list[dict[str, Any]]:
    """The same for what ONNX has today and no plugin provides, revision by revision."""
    rows = []
    for (domain, op_type), revisions in _onnx_operators().items():
        have = {v for e in registry.find(op_type, domain) for v in e.plugin.schema.since_versions}
        lacking = [version for version in revisions if version not in have]
        if lacking:
            rows.append(
                {
                    "domain": domain,
                    "op_type": op_type,
                    "since_versions": lacking,
                    "plugin": None,
                    "package": None,
                    "float": False,
                    "quantized": False,
                    "kind": "",
                    "restrictions": "",
                }
            )
    return rows


def _in_force(registry: OpRegistry) -> list[tuple[RegisteredOp, list[OpKey]]]:
    """Each plugin with the revisions that it, and no other, serves."""
    keys: dict[str, list[OpKey]] = {}
    for key, entry in registry.ops.items():
        keys.setdefault(entry.name, []).append(key)
    return [(entry, keys[entry.name]) for entry in registry]


def _package(entry: RegisteredOp) -> str:
    return entry.source.distribution or entry.name.partition(".")[0]


def _onnx_operators() -> dict[tuple[str, str], list[int]]:
    """What ONNX has and does not deprecate, with the revisions that a model can use.

    Of `ai.onnx`, these are the revision in force at the oldest opset that cml reads, and later.
    """
    import onnx.defs

    from cml_core.graph.load import OLDEST_OPSET

    history: dict[tuple[str, str], list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain in _COMPARED and not schema.deprecated:
            history.setdefault((schema.domain, schema.name), []).append(schema.since_version)
    current = {(s.domain, s.name) for s in onnx.defs.get_all_schemas() if not s.deprecated}
    found = {}
    for key in sorted(history.keys() & current):
        oldest = OLDEST_OPSET if key[0] == "" else 1
        first = max((v for v in history[key] if v <= oldest), default=0)
        found[key] = sorted(v for v in history[key] if v >= first)
    return found


def _name(row: dict[str, Any]) -> str:
    return f"{row['domain']}.{row['op_type']}" if row["domain"] else str(row["op_type"])


def _versions(row: dict[str, Any]) -> str:
    return ", ".join(map(str, row["since_versions"]))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        _name(row),
        _versions(row),
        "yes",
        "yes" if row["quantized"] else "no",
        row["kind"],
        row["plugin"],
        row["restrictions"],
    )


# --- cml ops show -------------------------------------------------------------------------------


@app.command("show")
@guarded
def show_operator(
    name: Annotated[str, typer.Argument(help="The operator in ONNX's spelling, such as Gemm.")],
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only this domain, such as ai.onnx.ml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything about an operator: plugins, revisions, attributes, restrictions, examples."""
    from cml_core.ops.schema import normalize_domain
    from cml_core.plugins.registry import default_registry

    registry = default_registry()
    wanted = None if domain is None else normalize_domain(domain)
    entries = [
        (entry, keys)
        for entry, keys in _in_force(registry)
        if entry.plugin.schema.op_type == name and wanted in (None, entry.plugin.schema.domain)
    ]
    if not entries:
        raise _unknown(registry, name, wanted)
    details = [_details(entry, keys) for entry, keys in entries]
    if as_json:
        show_json({"op_type": name, "plugins": details})
        return
    for place, detail in enumerate(details):
        if place:
            show_text("")
        _print_details(detail)


def _unknown(registry: OpRegistry, name: str, domain: str | None) -> UnknownOperatorError:
    known = {key: v for key, v in _onnx_operators().items() if domain in (None, key[0])}
    revisions = {version for key in known if key[1] == name for version in known[key]}
    names = {op for _, op in known}
    names |= {key.op_type for key in registry.ops if domain in (None, key.domain)}
    by_lower: dict[str, str] = {other.lower(): other for other in sorted(names)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3)
    full = f"{domain}.{name}" if domain else name
    return UnknownOperatorError(
        full, tuple(sorted(revisions)), tuple(by_lower[match] for match in close)
    )


def _details(entry: RegisteredOp, keys: list[OpKey]) -> dict[str, Any]:
    plugin = entry.plugin
    return {
        "domain": plugin.schema.domain,
        "plugin": entry.name,
        "package": _package(entry),
        "version": entry.source.version,
        "since_versions": [key.since_version for key in keys],
        "float": True,
        "quantized": plugin.quantized,
        "kind": plugin.schema.kind.value,
        "restrictions": plugin.restrictions,
        "overrides": plugin.overrides,
        "doc": _first_paragraph(entry.name),
        "attributes": _attributes(keys[-1], entry),
        "examples": [_example(example) for example in plugin.examples],
    }


def _first_paragraph(module: str) -> str:
    text = getattr(sys.modules.get(module), "__doc__", None) or ""
    return " ".join(text.strip().partition("\n\n")[0].split())


def _attributes(newest: OpKey, entry: RegisteredOp) -> list[dict[str, Any]]:
    """Attributes of the newest revision; of other domains' operators, what the plugin says."""
    import onnx.defs

    from cml_core.graph.attributes import schema_defaults

    try:
        schema = onnx.defs.get_schema(newest.op_type, newest.since_version, newest.domain)
    except onnx.defs.SchemaError:
        stated = entry.plugin.schema.attribute_defaults
        return [
            {"name": name, "type": type(value).__name__, "required": False, "default": value}
            for name, value in sorted(stated.items())
        ]
    defaults = schema_defaults(newest)
    return [
        {
            "name": name,
            "type": str(attribute.type).rpartition(".")[2].lower(),
            "required": attribute.required,
            "default": defaults.get(name),
        }
        for name, attribute in sorted(schema.attributes.items())
    ]


def _example(example: OpExample) -> dict[str, Any]:
    return {
        "name": example.name,
        "inputs": [
            None if array is None else {"shape": array.shape, "dtype": str(array.dtype)}
            for array in example.inputs
        ],
        "attributes": example.attributes,
        "encrypted": example.encrypted,
        "n_bits": example.n_bits,
        "tolerance": example.tolerance,
    }


def _print_details(detail: dict[str, Any]) -> None:
    package = " ".join(filter(None, (detail["package"], detail["version"])))
    facts = {
        "plugin": f"{detail['plugin']} ({package})",
        "domain": detail["domain"] or "ai.onnx",
        "revisions": _versions(detail),
        "kind": detail["kind"],
        "forms": "float and quantized" if detail["quantized"] else "float only",
        "restrictions": detail["restrictions"],
        "overrides": detail["overrides"],
        "attributes": "\n".join(map(_print_attribute, detail["attributes"])),
        "examples": "\n".join(map(_print_example, detail["examples"])),
    }
    show_text(detail["doc"] or detail["plugin"])
    show_facts({name: value for name, value in facts.items() if value})


def _print_attribute(attribute: dict[str, Any]) -> str:
    default = attribute["default"]
    state = "required" if attribute["required"] else f"default {default!r}"
    if not attribute["required"] and default is None:
        state = "optional"
    return f"{attribute['name']}: {attribute['type']}, {state}"


def _print_example(example: dict[str, Any]) -> str:
    inputs = [
        "none" if tensor is None else f"{tensor['dtype']}{list(tensor['shape'])}"
        for tensor in example["inputs"]
    ]
    stated = _join(f"{name}={value!r}" for name, value in example["attributes"].items())
    line = _join(inputs) + (f" with {stated}" if stated else "")
    return f"{example['name']}: {line}" if example["name"] else line


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)
