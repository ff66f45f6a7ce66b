"""Write the pages about operators, `docs/operators/`, from the registry.

    python docs/generate_operators.py           writes them
    python docs/generate_operators.py --check   exits with status 1 if they are stale

Numbers are rounded, and pages whose decimals differ from what is computed by less than rounding
does are not stale: the last digits depend on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.defs

from cml_core.cli.ops_facts import (
    count_operators,
    describe_plugin,
    missing_operators,
    plugins_in_force,
)
from cml_core.graph.attributes import is_deterministic
from cml_core.graph.load import OLDEST_OPSET
from cml_core.numpy_module import NumpyModule
from cml_core.ops.example import OpExample
from cml_core.plugins.discovery import OPERATORS, load_group
from cml_core.plugins.registry import OpRegistry, RegisteredOp
from cml_core.testing.models import example_model, input_name

FOLDER = Path(__file__).parent / "operators"
MARK = "<!-- Written by docs/generate_operators.py from the operator plugins. -->\n\n"
#: Domain of the operators that cml writes others with.
OWN = "cml"
#: Values of a tensor or an attribute are shown if they fit in so many characters.
LONG = 88
#: What is smaller than this is noise of the order of float32's last digit.
NOISE = 1e-6


# --- pages --------------------------------------------------------------------------------------


def builtin_registry() -> OpRegistry:
    """The operators of cml itself, whatever else is installed or blocked."""
    points = metadata.distribution("cml").entry_points.select(group=OPERATORS.entry_points)
    return OpRegistry.from_plugins(
        load_group(OPERATORS, strict=True, blocked=(), entry_points=points)
    )


def pages(registry: OpRegistry) -> dict[str, str]:
    """Every page's text by the name of its file."""
    plugins: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry, keys in plugins_in_force(registry):
        facts = {**describe_plugin(entry, keys), "entry": entry, "newest": keys[-1]}
        schema = entry.plugin.schema
        plugins.setdefault((schema.domain, schema.op_type), []).append(facts)
    for sections in plugins.values():
        sections.sort(key=lambda facts: -facts["since_versions"][-1])
    found = {f"{full_name(*key)}.md": page(*key, rows, registry) for key, rows in plugins.items()}
    return {**found, "index.md": index(plugins, registry)}


def full_name(domain: str, op_type: str) -> str:
    """The operator as `cml ops list` names it."""
    return f"{domain}.{op_type}" if domain else op_type


def page(domain: str, op_type: str, plugins: list[dict[str, Any]], registry: OpRegistry) -> str:
    """One operator: a section for each plugin, the newest revisions first."""
    lines = [f"# {full_name(domain, op_type)}", ""]
    since = plugins[0]["deprecated_since"]
    if since is not None:
        lines += [f"ONNX deprecated it in opset {since}; models of older opsets run.", ""]
    for facts in plugins:
        lines += section(facts, registry)
    return MARK + "\n".join(lines).rstrip() + "\n"


def section(facts: dict[str, Any], registry: OpRegistry) -> Iterator[str]:
    """What one plugin does."""
    versions = facts["since_versions"]
    yield f"## Revision{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))}"
    for paragraph in filter(None, (facts["doc"], *facts["description"])):
        yield from ("", escaped(paragraph))
    yield ""
    yield f"- Plugin: `{facts['plugin']}`"
    yield f"- Runs: in float{' and quantized' if facts['quantized'] else ' only'}"
    yield f"- Kind: {facts['kind']}"
    if facts["restrictions"]:
        yield f"- Restrictions: {escaped(facts['restrictions'])}"
    for what in ("inputs", "outputs"):
        if facts[what]:
            yield f"- {what.capitalize()}: {', '.join(map(parameter, facts[what]))}"
    kinds = {p["type"]: p["types"] for p in facts["inputs"] + facts["outputs"]}
    for name, types in kinds.items():
        if "(" not in name:
            yield f"- `{name}`: {type_names(types)}"
    yield ""
    if facts["attributes"]:
        yield from ("| attribute | type | default |", "|---|---|---|")
        yield from map(attribute_row, facts["attributes"])
        yield ""
    if facts["entry"].plugin.examples:
        yield from ("### Examples", "")
    for number, example in enumerate(facts["entry"].plugin.examples, 1):
        yield f"**{escaped(example.name) or f'Example {number}'}**"
        yield from example_lines(facts, example, registry)


def escaped(text: str) -> str:
    """A sentence in which nothing but what is between backticks is markup."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*<|\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def parameter(facts: dict[str, Any]) -> str:
    """An input or output with its type."""
    name = facts["type"]
    kind = type_names([name]) if "(" in name else f"`{name}`"
    option = "" if facts["option"] == "single" else f", {facts['option']}"
    return f"`{facts['name']}` ({kind}{option})"


def attribute_row(attribute: dict[str, Any]) -> str:
    """A row of the table of attributes."""
    default = attribute["default"]
    state = "optional" if default is None else f"`{value_text(default)}`"
    state = "required" if attribute["required"] else state
    return f"| `{attribute['name']}` | {attribute['type']} | {state} |"


def type_names(types: Iterable[str]) -> str:
    """ONNX types in NumPy's words, such as `float32` and `sequence of string`."""
    groups: dict[str, list[str]] = {}
    for text in sorted(types):
        words, rest = "", text
        for prefix, word in (("optional(", "optional "), ("seq(", "sequence of ")):
            if rest.startswith(prefix):
                words, rest = words + word, rest.removeprefix(prefix)[:-1]
        element = re.sub(r"tensor\((\w+)\)", r"\1", rest)
        element = re.sub(r"map\((\w+),(\w+)\)", r"map from \1 to \2", element)
        element = re.sub(r"\bdouble\b", "float64", re.sub(r"\bfloat\b", "float32", element))
        groups.setdefault(words, []).append(element)
    return "; ".join(words + ranges(names) for words, names in sorted(groups.items()))


def ranges(names: Iterable[str]) -> str:
    """Names in order of their widths, `int8, int16, int32` as `int8 to int32`."""
    widths: dict[str, list[int]] = {}
    others = []
    for name in names:
        found = re.fullmatch(r"(u?int|float|complex)(\d+)", name)
        if found:
            widths.setdefault(found[1], []).append(int(found[2]))
        else:
            others.append(name)
    parts = []
    for family, sizes in sorted(widths.items()):
        sizes.sort()
        steps = all(b == 2 * a for a, b in itertools.pairwise(sizes))
        if len(sizes) > 2 and steps:
            parts.append(f"{family}{sizes[0]} to {family}{sizes[-1]}")
        else:
            parts += [f"{family}{size}" for size in sizes]
    return ", ".join(parts + sorted(others))


# --- the index ----------------------------------------------------------------------------------


def index(plugins: Mapping[tuple[str, str], list[dict[str, Any]]], registry: OpRegistry) -> str:
    """The page that lists all operators."""
    opsets = {"opset": onnx.defs.onnx_opset_version(), "oldest": OLDEST_OPSET}
    lines = [INTRODUCTION.format(**opsets), "## Coverage", ""]
    lines += ["| domain | operators | in float | quantized | revisions | revisions in float |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    counts = count_operators(registry)
    for row in counts:
        cells = ["" if value is None else str(value) for value in list(row.values())[1:]]
        lines.append(f"| {row['domain'] or 'ai.onnx'} | {' | '.join(cells)} |")
    missing = [full_name(row["domain"], row["op_type"]) for row in missing_operators(registry)]
    if missing:
        lines += ["", f"Not, or not in all revisions: {', '.join(missing)}."]
    lines += ["", '<div id="operator-filter"></div>']
    for domain in [row["domain"] for row in counts if row["float"]]:
        title = f"{domain}: what cml writes other operators with" if domain == OWN else domain
        lines += ["", f"## {title or 'ai.onnx'}", ""]
        lines += ["| operator | revisions | quantized | kind | |", "|---|---|---|---|---|"]
        names = sorted((name for where, name in plugins if where == domain), key=str.lower)
        lines += [index_row(domain, name, plugins[domain, name]) for name in names]
    return MARK + "\n".join(lines) + "\n"


INTRODUCTION = """\
# Operators

Each operator is a plugin. All of them are native: written for cml, the float reference in NumPy and
the quantized form, where there is one, in integer instructions. None hands a node to another
implementation.

On a page, *revisions* are those of the operator's schema that are implemented; inputs, outputs and
attributes are those of the newest of them. Examples are what the tests run: `in` and `with` are
given, `out` is what the operator makes of them in float. *Lookups* are what one sample costs under
encryption, the model being this operator alone.

| kind | |
|---|---|
| elementwise | each element depends on those at its own place; quantized, it is often free |
| movement | elements are moved, repeated or dropped; quantized, it is free |
| linear | sums of products with weights; quantized, with clear weights, it costs no lookup |
| shape | depends on shapes alone, so it is never encrypted |
| custom | anything else; its page says what it costs |

The same from a terminal: `cml ops list`, `cml ops list --coverage`, `cml ops show Gemm`.

ONNX is as of opset {opset}. Operators that it has deprecated count, and of all revisions those that
a model of opset {oldest} or later can use. An operator is quantized if one of its revisions is.
"""


def index_row(domain: str, op_type: str, plugins: list[dict[str, Any]]) -> str:
    """A row of the table of operators."""
    name = full_name(domain, op_type)
    versions = sorted(version for facts in plugins for version in facts["since_versions"])
    quantized = [facts for facts in plugins if facts["quantized"]]
    form = "no"
    if quantized:
        partial = len(quantized) < len(plugins) or any(f["restrictions"] for f in quantized)
        form = "with restrictions" if partial else "yes"
    newest = plugins[0]
    before, _, after = newest["doc"].partition(": ")
    what = after if after and before.startswith(op_type) else newest["doc"]
    cells = (f"[{op_type}]({name}.md)", ", ".join(map(str, versions)), form, newest["kind"])
    return f"| {' | '.join(cells)} | {escaped(what)} |"


# --- examples -----------------------------------------------------------------------------------


def example_lines(facts: dict[str, Any], example: OpExample, registry: OpRegistry) -> Iterator[str]:
    """An example: what goes in and comes out, and what it costs."""
    entry: RegisteredOp = facts["entry"]
    yield "" if example.opset is None else f"(opset {example.opset})\n"
    yield "```text"
    names = list(named(facts["inputs"], len(example.inputs), "input"))
    for name, value in zip(names, example.inputs, strict=True):
        if value is not None:
            yield f"in    {name} = {tensor_text(value)}"
    for name, value in example.attributes.items():
        yield f"with  {name} = {attribute_text(value)}"
    results = run_example(entry, example, registry)
    random = is_random(facts, example)
    outputs = named(facts["outputs"], len(results), "output")
    for name, result in zip(outputs, results, strict=True):
        yield f"out   {name} = {tensor_text(result, noisy=True, values=not random)}"
    yield from ("```", "")
    if facts["quantized"] and example.encrypted:
        yield from (cost(example, [names[place] for place in example.encrypted]), "")


def run_example(entry: RegisteredOp, example: OpExample, registry: OpRegistry) -> list[Any]:
    """What the operator gives in float."""
    model = example_model(entry.plugin, example, clear=())
    feeds = {input_name(k): value for k, value in enumerate(example.inputs) if value is not None}
    return list(NumpyModule.from_onnx(model, registry=registry).run(feeds).values())


def is_random(facts: dict[str, Any], example: OpExample) -> bool:
    """Whether an example gives something else each time, or with another version of NumPy."""
    stated = any(output is not None for output in example.outputs or ())
    seeded = any(attribute["name"] == "seed" for attribute in facts["attributes"])
    return seeded and not stated and not is_deterministic(facts["newest"])


def named(parameters: list[dict[str, Any]], count: int, what: str) -> Iterator[str]:
    """Names of a node's inputs or outputs; the last parameter may stand for several."""
    variadic = bool(parameters) and parameters[-1]["option"] == "variadic"
    for place in range(count):
        if place < len(parameters) - variadic:
            yield parameters[place]["name"]
        elif variadic:
            yield f"{parameters[-1]['name']}[{place - len(parameters) + 1}]"
        else:
            yield f"{what} {place + 1}"


def cost(example: OpExample, encrypted: list[str]) -> str:
    """What an example promises of its quantized form."""
    who = ", ".join(f"`{name}`" for name in encrypted)
    text = f"Quantized to {example.n_bits} bits with {who} encrypted: "
    error = f"off by at most {100 * example.tolerance:.4g} % of the output's range"
    text += error if example.tolerance else "exact"
    if example.lookups is not None:
        text += f", {example.lookups or 'no'} lookup{'' if example.lookups == 1 else 's'}"
    if example.max_bits is not None and example.lookups != 0:
        text += f", at most {example.max_bits} bits into a lookup"
    return text + "."


def attribute_text(value: Any) -> str:
    """An attribute's value: numbers, text, a tensor, or a graph."""
    if isinstance(value, onnx.TensorProto):
        return tensor_text(onnx.numpy_helper.to_array(value))
    if isinstance(value, onnx.SparseTensorProto):
        return f"sparse {tensor_text(onnx.numpy_helper.to_array(value.values))}"
    if isinstance(value, onnx.TypeProto):
        return " ".join(str(value).split())
    if isinstance(value, onnx.GraphProto):
        given = ", ".join(spec.name for spec in value.input)
        made = ", ".join(spec.name for spec in value.output)
        return f"graph ({given}) -> ({made}): {', '.join(n.op_type for n in value.node) or '-'}"
    if isinstance(value, np.ndarray):
        return tensor_text(value)
    text = value_text(value)
    return text if len(text) <= LONG else f"{len(value)} values"


def tensor_text(value: Any, *, noisy: bool = False, values: bool = True) -> str:
    """Dtype, shape and, if they are few, the values of a tensor, or of those in a sequence."""
    if value is None:
        return "nothing"
    if isinstance(value, (tuple, list)):
        return f"sequence({', '.join(tensor_text(v, noisy=noisy, values=values) for v in value)})"
    if not isinstance(value, np.ndarray):
        return value_text(value)
    kind = "string" if value.dtype.kind in "OSU" and not holds_maps(value) else str(value.dtype)
    kind = "map" if holds_maps(value) else kind
    head = f"{kind}[{', '.join(map(str, value.shape))}]"
    if not values:
        return f"{head}, drawn at random"
    if value.size == 0 or value.size > LONG:
        return head
    text = value_text(plain(value), noisy=noisy)
    return f"{head} {text}" if len(text) <= LONG else head


def holds_maps(array: np.ndarray) -> bool:
    """Whether the elements of an array are maps."""
    return array.dtype == object and array.size > 0 and isinstance(array.flat[0], Mapping)


def plain(array: np.ndarray) -> Any:
    """An array as nested lists; of types that NumPy lacks, as numbers."""
    if array.dtype.kind != "V":
        return array.tolist()
    numbers = array.astype(np.float64)
    integers = re.match(r"u?int", str(array.dtype))
    return (numbers.astype(np.int64) if integers else numbers).tolist()


def value_text(value: Any, *, noisy: bool = False) -> str:
    """Numbers and text, floats with five digits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        pairs = (f"{value_text(k)}: {value_text(v, noisy=noisy)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(value_text(item, noisy=noisy) for item in value)}]"
    if isinstance(value, complex):
        parts = (value_text(part, noisy=noisy) for part in (value.real, value.imag))
        return "{} + {}j".format(*parts).replace("+ -", "- ")
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, float):
        return repr(value)
    if not math.isfinite(value):
        return str(value)
    text = f"{0.0 if noisy and abs(value) < NOISE else value + 0.0:.5g}"
    return text if re.search(r"[.e]", text) else f"{text}.0"


# --- writing and checking -----------------------------------------------------------------------


DECIMAL = re.compile(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def same(old: str, new: str) -> bool:
    """Whether two pages differ by no more than the last digits of their decimal fractions."""
    parts, others = DECIMAL.split(old), DECIMAL.split(new)
    return len(parts) == len(others) and all(map(_same_part, parts, others))


def _same_part(old: str, new: str) -> bool:
    if old == new:
        return True
    fractions = [DECIMAL.fullmatch(text) and re.search(r"[.e]", text) for text in (old, new)]
    return all(fractions) and math.isclose(float(old), float(new), rel_tol=1e-3, abs_tol=1e-5)


def stale(folder: Path, wanted: Mapping[str, str]) -> dict[str, str | None]:
    """What must be written to the folder, None for what must be removed."""
    have = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    changes: dict[str, str | None] = {
        name: text
        for name, text in wanted.items()
        if name not in have or not same(have[name], text)
    }
    return {**changes, **dict.fromkeys(have.keys() - wanted.keys())}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description="Write the pages about operators.")
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    check = parser.parse_args().check
    changes = stale(FOLDER, pages(builtin_registry()))
    for name, text in sorted(changes.items()):
        sys.stdout.write(
            f"{'stale' if check else 'removed' if text is None else 'wrote'}: {name}\n"
        )
        if not check and text is None:
            (FOLDER / name).unlink()
        elif not check and text is not None:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_text(text, encoding="utf-8")
    if check and changes:
        sys.stdout.write("run: python docs/generate_operators.py\n")
    return int(check and bool(changes))


if __name__ == "__main__":
    sys.exit(main())
