"""What is known of operators and their plugins, as plain data."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cml_core.ops.example import OpExample
    from cml_core.ops.plugin import OpPlugin
    from cml_core.ops.schema import OpKey
    from cml_core.plugins.registry import OpRegistry, RegisteredOp

__all__ = [
    "COMPARED",
    "count_operators",
    "describe_plugin",
    "missing_operators",
    "onnx_operators",
    "operators",
    "plugins_in_force",
]

#: Domains whose operators `--missing` compares with.
COMPARED = ("", "ai.onnx.ml")


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
        for entry, keys in plugins_in_force(registry)
    ]


def missing_operators(registry: OpRegistry) -> list[dict[str, Any]]:
    """The same for what ONNX has today and no plugin provides, revision by revision."""
    rows = []
    for (domain, op_type), revisions in onnx_operators().items():
        if domain not in COMPARED or _deprecated_since(domain, op_type) is not None:
            continue
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


def count_operators(registry: OpRegistry) -> list[dict[str, Any]]:
    """For each domain, how many operators and revisions exist, run in float and run quantized.

    An operator counts if some revision does; those that ONNX has deprecated count as well. How
    many exist is None for a domain that ONNX does not know.
    """
    exist = onnx_operators()
    served: dict[tuple[str, str], set[int]] = {}
    for key in registry.ops:
        served.setdefault((key.domain, key.op_type), set()).add(key.since_version)
    quantized = {(k.domain, k.op_type) for k, e in registry.ops.items() if e.plugin.quantized}
    rows = []
    for domain in sorted({domain for domain, _ in exist.keys() | served.keys()}):
        known = {name for name in exist if name[0] == domain}
        ours = {name for name in served if name[0] == domain}
        rows.append(
            {
                "domain": domain,
                "operators": len(known) or None,
                "float": len(ours),
                "quantized": len(ours & quantized),
                "revisions": sum(len(exist[name]) for name in known) or None,
                "revisions_float": sum(
                    len(served[name].intersection(exist.get(name, served[name]))) for name in ours
                ),
            }
        )
    return rows


def plugins_in_force(registry: OpRegistry) -> list[tuple[RegisteredOp, list[OpKey]]]:
    """Each plugin with the revisions that it, and no other, serves."""
    keys: dict[str, list[OpKey]] = {}
    for key, entry in registry.ops.items():
        keys.setdefault(entry.name, []).append(key)
    return [(entry, keys[entry.name]) for entry in registry]


def onnx_operators() -> dict[tuple[str, str], list[int]]:
    """What ONNX has or had, with the revisions that a model can use.

    Of `ai.onnx`, these are the revision in force at the oldest opset that cml reads, and later.
    """
    import onnx.defs

    from cml_core.graph.load import OLDEST_OPSET

    history: dict[tuple[str, str], list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.deprecated:
            history.setdefault((schema.domain, schema.name), []).append(schema.since_version)
    found = {}
    for key in sorted(history):
        oldest = OLDEST_OPSET if key[0] == "" else 1
        first = max((v for v in history[key] if v <= oldest), default=0)
        found[key] = sorted(v for v in history[key] if v >= first)
    return found


def _deprecated_since(domain: str, op_type: str) -> int | None:
    """Opset that took an operator out of ONNX, None if it is there today or never was."""
    import onnx.defs

    try:
        schema = onnx.defs.get_schema(op_type, domain=domain)
    except onnx.defs.SchemaError:
        return None
    return int(schema.since_version) if schema.deprecated else None


def describe_plugin(entry: RegisteredOp, keys: list[OpKey]) -> dict[str, Any]:
    """Everything about a plugin and the revisions that it serves, as plain data.

    Inputs, outputs and attributes are those of the newest of these revisions.
    """
    plugin = entry.plugin
    doc, *more = _paragraphs(entry.name)
    schema = _onnx_schema(keys[-1])
    return {
        "domain": plugin.schema.domain,
        "plugin": entry.name,
        "package": _package(entry),
        "version": entry.source.version,
        "since_versions": [key.since_version for key in keys],
        "deprecated_since": _deprecated_since(plugin.schema.domain, plugin.schema.op_type),
        "float": True,
        "quantized": plugin.quantized,
        "kind": plugin.schema.kind.value,
        "restrictions": plugin.restrictions,
        "overrides": plugin.overrides,
        "doc": doc,
        "description": more,
        "inputs": [] if schema is None else [_parameter(p) for p in schema.inputs],
        "outputs": [] if schema is None else [_parameter(p) for p in schema.outputs],
        "attributes": _attributes(keys[-1], entry),
        "examples": [_example(example) for example in plugin.examples],
    }


def _package(entry: RegisteredOp) -> str:
    return entry.source.distribution or entry.name.partition(".")[0]


def _paragraphs(module: str) -> list[str]:
    """Paragraphs of a module's docstring, each in one line; at least one."""
    text = inspect.cleandoc(getattr(sys.modules.get(module), "__doc__", None) or "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _onnx_schema(key: OpKey) -> Any:
    """What `onnx.defs` says of a revision; None if it does not know it."""
    import onnx.defs

    try:
        return onnx.defs.get_schema(key.op_type, key.since_version, key.domain)
    except onnx.defs.SchemaError:
        return None


def _parameter(parameter: Any) -> dict[str, Any]:
    """An input or output: `option` is single, optional or variadic."""
    return {
        "name": parameter.name,
        "option": str(parameter.option).rpartition(".")[2].lower(),
        "type": parameter.type_str,
        "types": sorted(parameter.types),
    }


def _attributes(newest: OpKey, entry: RegisteredOp) -> list[dict[str, Any]]:
    """Attributes of the newest revision; of other domains' operators, what the plugin says."""
    from cml_core.graph.attributes import schema_defaults
    from cml_core.plugins.op_checks import required_attributes

    schema = _onnx_schema(newest)
    if schema is None:
        rows = [
            {"name": name, "type": type(value).__name__, "required": False, "default": value}
            for name, value in entry.plugin.schema.attribute_defaults.items()
        ]
        rows += [
            {"name": name, "type": "", "required": True, "default": None}
            for name in required_attributes(entry.plugin, newest)
        ]
        stated = {row["name"] for row in rows}
        rows += [
            {
                "name": name,
                "type": "" if value is None else type(value).__name__,
                "required": False,
                "default": value,
            }
            for name, value in _keyword_defaults(entry.plugin).items()
            if name not in stated
        ]
        return sorted(rows, key=lambda row: str(row["name"]))
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


def _keyword_defaults(plugin: OpPlugin) -> dict[str, Any]:
    """Attributes that the float reference itself gives a default, by name."""
    try:
        parameters = inspect.signature(plugin.numpy_op).parameters.values()
    except (TypeError, ValueError):  # It is none of Python's.
        return {}
    given = {"n_outputs": plugin.schema.counts_outputs, "graph": plugin.schema.sees_graph}
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and not given.get(p.name)
    }


def _example(example: OpExample) -> dict[str, Any]:
    return {
        "name": example.name,
        "opset": example.opset,
        "inputs": [_shape_and_dtype(value) for value in example.inputs],
        "attributes": {name: _attribute(value) for name, value in example.attributes.items()},
        "encrypted": example.encrypted,
        "n_bits": example.n_bits,
        "tolerance": example.tolerance,
        "lookups": example.lookups,
        "max_bits": example.max_bits,
    }


def _shape_and_dtype(value: Any) -> Any:
    """Shape and dtype of a tensor, a list of them for a sequence; None for what is left out."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [_shape_and_dtype(item) for item in value]
    return {"shape": value.shape, "dtype": str(value.dtype)}


def _attribute(value: Any) -> Any:
    """An attribute's value; of tensors shape and dtype, of graphs the number of nodes."""
    import numpy as np
    import onnx

    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    if isinstance(value, np.ndarray):
        return _shape_and_dtype(value)
    if isinstance(value, onnx.TypeProto):
        return " ".join(str(value).split())
    if isinstance(value, onnx.GraphProto):
        return {"nodes": len(value.node)}
    return value
