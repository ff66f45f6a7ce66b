"""How `cml ops show` prints an operator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cml_core.cli.terminal import show_facts, show_text

__all__ = ["print_details", "versions_text"]

#: Where the value of an example's attribute is cut off in a line.
_LONG = 60


def print_details(detail: dict[str, Any]) -> None:
    """Print everything about a plugin, as `describe_plugin` gives it."""
    package = " ".join(filter(None, (detail["package"], detail["version"])))
    since = detail["deprecated_since"]
    facts = {
        "plugin": f"{detail['plugin']} ({package})",
        "domain": detail["domain"] or "ai.onnx",
        "revisions": versions_text(detail),
        "deprecated": since and f"by ONNX as of opset {since}",
        "kind": detail["kind"],
        "forms": "float and quantized" if detail["quantized"] else "float only",
        "restrictions": detail["restrictions"],
        "overrides": detail["overrides"],
        "inputs": _join(map(_print_parameter, detail["inputs"])),
        "outputs": _join(map(_print_parameter, detail["outputs"])),
        "attributes": "\n".join(map(_print_attribute, detail["attributes"])),
        "examples": "\n".join(_print_example(e, detail["quantized"]) for e in detail["examples"]),
    }
    show_text(detail["doc"] or detail["plugin"])
    for paragraph in detail["description"]:
        show_text(f"\n{paragraph}")
    if detail["description"]:
        show_text("")
    show_facts({name: value for name, value in facts.items() if value})


def versions_text(row: dict[str, Any]) -> str:
    """The revisions of a plugin in one line."""
    return ", ".join(map(str, row["since_versions"]))


def _print_attribute(attribute: dict[str, Any]) -> str:
    default = attribute["default"]
    state = "required" if attribute["required"] else f"default {default!r}"
    if not attribute["required"] and default is None:
        state = "optional"
    kind = f"{attribute['type']}, " if attribute["type"] else ""
    return f"{attribute['name']}: {kind}{state}"


def _print_parameter(parameter: dict[str, Any]) -> str:
    option = parameter["option"]
    return str(parameter["name"]) + ("" if option == "single" else f" ({option})")


def _print_example(example: dict[str, Any], quantized: bool) -> str:
    stated = _join(f"{name}={_print_value(v)}" for name, v in example["attributes"].items())
    line = _join(map(_print_tensor, example["inputs"])) + (f" with {stated}" if stated else "")
    notes = []
    if example["opset"] is not None:
        notes.append(f"opset {example['opset']}")
    if quantized and example["lookups"] is not None:
        notes.append(f"{example['lookups']} lookup{'' if example['lookups'] == 1 else 's'}")
    if quantized and example["max_bits"] is not None:
        notes.append(f"at most {example['max_bits']} bits into a lookup")
    line += f" ({_join(notes)})" if notes else ""
    return ": ".join(filter(None, (example["name"], line.strip())))


def _print_value(value: Any) -> str:
    if isinstance(value, dict):
        return _print_tensor(value) if "shape" in value else f"a graph of {value['nodes']} nodes"
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _print_tensor(tensor: Any) -> str:
    if tensor is None:
        return "none"
    if isinstance(tensor, list):
        return f"[{_join(map(_print_tensor, tensor))}]"
    return f"{tensor['dtype']}{list(tensor['shape'])}"


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)
