"""Write the parts of the reference that come from tables: commands and estimators.

    python docs/generate_reference.py           writes them
    python docs/generate_reference.py --check   exits with status 1 if they are stale

`docs/commands.md` is made from the commands' own help, with the examples below; the table in
`docs/api/sklearn.md` from the table of estimators. Neither imports scikit-learn.
"""

from __future__ import annotations

import argparse
import enum
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import typer.main

from cml_core.cli import app
from cml_frontends.sklearn.table import ROWS, Row

DOCS = Path(__file__).parent
COMMANDS = DOCS / "commands.md"
ESTIMATORS = DOCS / "api" / "sklearn.md"
MARK = "<!-- Written by docs/generate_reference.py from the commands' own help. -->\n\n"
BEGIN, END = "<!-- estimators: begin -->\n", "<!-- estimators: end -->\n"
#: The fields of `QuantConfig` in words.
BITS = {"input_bits": "inputs", "weight_bits": "weights", "activation_bits": "activations"}

INTRODUCTION = """\
# Commands

What `cml` does in a terminal. Results go to stdout; warnings, errors and progress go to stderr, and
nothing shows progress where stderr is no terminal. `.npz` files hold arrays by the names of the
model's inputs or outputs; a lone input may have any name. A `.cml` file is what
[`cml compile`](#cml-compile) writes. `python -m cml_core` is the same command, of the environment
that this Python is of.

| exit status | |
|---|---|
| 0 | it is done |
| 1 | it failed, or a check found something; stderr says what, in one paragraph |
| 2 | the command line itself is wrong: an unknown option, a missing argument |
| 130 | it was interrupted (Ctrl-C) |

Whoever reads stdout may leave early, as `| head` does, or stdout may be closed: what is left is not
printed, and the work and the status are what they would have been. If stdout cannot be written
because the disk is full, the status is 1; a file that `--output` names is complete by then.

`--output` replaces a file whole or not at all. The file keeps its permissions, and a link is
followed. A device, a pipe or an open descriptor, such as `/dev/stdout`, is written to as it is.
What a command reads is never written over.

The examples work on [files that are made first](#the-files-of-the-examples).

"""

FILES = """\
## The files of the examples

`digits.onnx` is a small network for handwritten digits, and `digits.npz` has samples for it. The
commands want arrays by the names of the model's inputs:

```python
import numpy as np

digits = np.load("docs/examples/digits/digits.npz")
np.savez("samples.npz", pixels=digits["calibration"])
np.savez("three.npz", pixels=digits["test"][:3])
```
"""

#: Before blocks of what takes a circuit and keys.
ELSEWHERE = "<!-- not run: client-and-server.md runs it, with a circuit and keys -->\n"
#: For each command, a sentence and a block that `tests/test_documents.py` runs.
EXAMPLES: dict[str, str] = {
    "check": """\
```console
$ cml check docs/examples/digits/digits.onnx
docs/examples/digits/digits.onnx: 6 nodes
float: yes
quantized: yes, 5 nodes on encrypted data, 1 by the client after decryption
```""",
    "run": """\
```console
$ cml run docs/examples/digits/digits.onnx --input three.npz --output scores.npz
wrote scores.npz: probabilities float32[3, 10]
```

[Running a model](running.md#where-the-time-goes) shows what `--profile` prints.""",
    "compile": """\
[Quantization](quantization.md) explains the choices. `--no-circuit` quantizes and stops there,
which needs no compiler:

```console
$ cml compile docs/examples/digits/digits.onnx --calibration samples.npz --n-bits 4 \\
>   --no-circuit --output digits.cml
wrote digits.cml
  nodes                 6 in the model, 5 in the circuit
  table lookups         ...
  max bit width         ...
  predicted complexity  ...
  time                  reading the model ... s, calibrating ... s, quantizing ... s
```""",
    "predict": """\
```console
$ cml predict digits.cml --input three.npz --output predicted.npz --mode clear
wrote predicted.npz: probabilities float32[3, 10]
```""",
    "evaluate": f"""\
[Client and server](client-and-server.md#on-the-command-line) has all four steps.

{ELSEWHERE}
```console
$ cml evaluate model.cml --evaluation-keys my.evaluation --input x.enc --output y.enc
```""",
    "client keygen": f"""\
Where `--keys` is there already nothing is done: see
[Client and server](client-and-server.md#on-the-command-line).

{ELSEWHERE}
```console
$ cml client keygen client.cml --keys my.secret --evaluation-keys my.evaluation
```""",
    "client encrypt": f"""\
{ELSEWHERE}
```console
$ cml client encrypt client.cml --keys my.secret --input x.npz --output x.enc
```""",
    "client decrypt": f"""\
{ELSEWHERE}
```console
$ cml client decrypt client.cml --keys my.secret --input y.enc --output y.npz
```""",
    "inspect": """\
```console
$ cml inspect digits.cml
digits.cml

node    bits  in  out  interval       lookups       rounded bits  complexity  share  SNR dB
pixels     4   4    4  [0, 15]
...
inputs         pixels float32[batch, 64]
outputs        probabilities float32[batch, 10]
by the client  softmax
...
compiled       no, quantized only
```""",
    "export": """\
```console
$ cml export digits.cml --output integers.onnx
wrote integers.onnx: ... nodes, opset ...
```""",
    "view": """\
<!-- not run: it serves a page until Ctrl-C -->

```console
$ cml view digits.cml
```""",
    "ops list": """\
```console
$ cml ops list --coverage
domain                    operators  float  quantized  revisions  revisions in float
ai.onnx  ...
...
```""",
    "ops show": """\
```console
$ cml ops show Relu
Relu: the positive part, max(x, 0).
  plugin     cml_ops_builtin.relu (cml ...)
  domain     ai.onnx
  revisions  6, 13, 14
  kind       elementwise
  forms      float and quantized
  inputs     X
  outputs    Y
  examples   float32[1, 4] (4 lookups, at most 4 bits into a lookup)
```""",
    "ops check": """\
```console
$ cml ops check cml_ops_builtin.relu --legs float,calibration,integers
plugin                examples  float  calibration  integers
cml_ops_builtin.relu         1  pass   pass         pass

3 passed
```""",
    "ops new": """\
```console
$ cml ops new Cube example-ops --domain example.org
wrote example-ops: ... files
...
```

[Add an operator](add-an-operator.md) goes on from there.""",
    "plugins list": """\
```console
$ cml plugins list
group     plugin  package  version  status  provides  ms  remarks
operator  cml_ops_builtin.abs_  cml  ...  loaded  Abs 6, 13  ...
...
```""",
    "plugins show": """\
```console
$ cml plugins show relu
Relu: the positive part, max(x, 0).
  plugin      cml_ops_builtin.relu
  group       operator
  package     cml ...
  file        ...
  status      loaded
...
```""",
}


# --- commands -----------------------------------------------------------------------------------


def commands_page() -> str:
    """The page about commands."""
    root = typer.main.get_command(app)
    lines = [INTRODUCTION, *listing(root), "", "## cml", "", *options(root), FILES]
    for name, command in walk(root):
        if name:
            lines += ["", *section(name, command)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    return f"{MARK}{text.rstrip()}\n"


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its name without `cml`, and groups before theirs."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for key in children:
        yield from walk(children[key], f"{name} {key}".strip())


def listing(root: Any) -> Iterator[str]:
    """The table of all commands."""
    yield from ("| command | |", "|---|---|")
    for name, command in walk(root):
        anchor = f"cml-{name}".replace(" ", "-")
        yield f"| [`cml {name}`](#{anchor}) | {first_line(command)} |"


def first_line(command: Any) -> str:
    """What a command does, in a line."""
    return (command.help or "").strip().partition("\n")[0]


def section(name: str, command: Any) -> Iterator[str]:
    """One command: what it does, how it is called, options, an example."""
    yield from (f"## cml {name}", "", (command.help or "").strip(), "")
    yield from ("```text", usage(name, command), "```", "")
    yield from options(command)
    yield from (EXAMPLES.get(name, ""), "")


def usage(name: str, command: Any) -> str:
    """The command line in short: what must be given, and whether more may."""
    words = ["cml", name]
    optional = False
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append(f"{metavar(parameter)}{' ...' if parameter.nargs == -1 else ''}")
        elif parameter.required:
            words.append(f"{longest(parameter)} {metavar(parameter)}")
        else:
            optional = True
    return " ".join(words + ["[OPTIONS]"] * optional)


def options(command: Any) -> Iterator[str]:
    """The table of a command's arguments and options."""
    rows = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    rows = [parameter for parameter in rows if parameter.name != "help"]
    if not rows:
        return
    yield from ("| argument or option | default | |", "|---|---|---|")
    for parameter in rows:
        yield f"| {spelling(parameter)} | {default(parameter)} | {cell(parameter.help or '')} |"
    yield ""


def spelling(parameter: Any) -> str:
    """How an argument or option is written."""
    if parameter.param_type_name == "argument":
        return f"`{metavar(parameter)}`"
    if parameter.is_flag:
        return ", ".join(f"`{name}`" for name in parameter.opts)
    return ", ".join(code(f"{name} {metavar(parameter)}") for name in parameter.opts)


def metavar(parameter: Any) -> str:
    """What stands for the value."""
    choices = type(parameter.default)
    if issubclass(choices, enum.Enum):
        return "|".join(str(choice.value) for choice in choices)
    return str(parameter.metavar or parameter.name.upper())


def longest(parameter: Any) -> str:
    """The long name of an option."""
    return max(parameter.opts, key=len)


def default(parameter: Any) -> str:
    """What holds if it is left out."""
    if parameter.required:
        return "required"
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return cell(shown)
    value = parameter.default
    value = value.value if isinstance(value, enum.Enum) else value
    if (parameter.param_type_name == "option" and parameter.is_flag) or value in (None, ""):
        return ""
    return code(str(value))


def code(text: str) -> str:
    """Text as code within a table's cell."""
    return f"`{text}`".replace("|", "\\|")


def cell(text: str) -> str:
    """A sentence within a table's cell; option names in it are code."""
    text = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"(?<!`)(--[a-z][\w-]*)", r"`\1`", text)


# --- estimators ---------------------------------------------------------------------------------


def estimators_page() -> str:
    """The page about estimators, with its table as it is now."""
    text = ESTIMATORS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{ESTIMATORS} has no place for the table of estimators")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """A row for each estimator."""
    lines = ["| name | extends a class of | `n_bits` sets | by default | `encoding` | extra |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [estimator_row(row) for row in ROWS.values()]
    return "\n".join(lines) + "\n"


def estimator_row(row: Row) -> str:
    """One estimator."""
    widths = [str(attrs.asdict(row.config, recurse=False)[width]) for width in row.widths]
    if len(set(widths)) == 1:
        widths = widths[:1]
    sets = ", ".join(BITS[width] for width in row.widths)
    encoding = "yes" if row.has_trees else ""
    cells = (
        f"`{row.name}`",
        f"`{row.module}`",
        sets,
        ", ".join(widths),
        encoding,
        f"`{row.extra}`",
    )
    return f"| {' | '.join(cells)} |"


# --- writing and checking -----------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """What every page should say."""
    return {COMMANDS: commands_page(), ESTIMATORS: estimators_page()}


def stale() -> dict[Path, str]:
    """The pages that say something else, and what they should say."""
    return {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description="Write the reference of commands and estimators.")
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    check = parser.parse_args().check
    changes = stale()
    for path, text in changes.items():
        sys.stdout.write(f"{'stale' if check else 'wrote'}: {path.relative_to(DOCS)}\n")
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and changes:
        sys.stdout.write("run: python docs/generate_reference.py\n")
    return int(check and bool(changes))


if __name__ == "__main__":
    sys.exit(main())
