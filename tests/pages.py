"""The code blocks of the documentation, and how they are run.

A page is run from top to bottom, in a folder of its own that has `docs/examples` in it, as the
repository has. ```python blocks share one namespace. Of ```console blocks, lines that begin with
`$ ` are commands (`> ` continues one), and what follows is what they print: `...` stands for
anything, and spaces are as many as one likes.

Comments in the lines right before a block say more of it:

    <!-- not run: REASON -->     it cannot be run
    <!-- fhe -->                 it encrypts; it is run by tests with the marker `fhe` alone
    <!-- exit status: 1 -->      the last command fails so
    <!-- numbers vary -->        numbers, and units of time and memory, may be others than shown
    <!-- output -->              a ```text block: what the python block before it prints

Set-up that readers need not see is a comment too: `<!--- invisible-code-block: python`, the code,
and `-->`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from sybil import Document
from sybil.example import Example
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

from cml_core.errors import BackendUnavailableError, MissingLibraryError

ROOT = Path(__file__).parents[1]
#: Libraries of front ends: a page that imports one is skipped where it is not installed.
OPTIONAL = {
    *("brevitas", "hummingbird", "lightgbm", "matplotlib", "netron", "onnxmltools", "onnxruntime"),
    *("pandas", "skl2onnx", "sklearn", "skorch", "torch", "transformers", "xgboost"),
}
_COMMENT = re.compile(r"<!--(?!-)\s*((?:(?!-->).)*?)\s*-->\s*\Z", re.S)


def pages() -> list[Path]:
    """The pages whose blocks are run; operators' are data, and decisions are history."""
    docs = ROOT / "docs"
    folders = ("*.md", "tutorials/*.md", "api/*.md", "examples/*/README.md")
    found = [path for folder in folders for path in docs.glob(folder)]
    return [ROOT / "README.md", *sorted(path for path in found if path.name != "decisions.md")]


def fences(text: str) -> Iterator[tuple[int, str, str, list[str]]]:
    """Line, language, source and comments of every fenced block."""
    for start in re.finditer(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", text, re.M | re.S):
        line = text.count("\n", 0, start.start()) + 1
        yield line, start[3].strip(), start[4], comments(text[: start.start()])


def comments(before: str) -> list[str]:
    """The comments that end a text, the last one first."""
    found = []
    while match := _COMMENT.search(before):
        found.append(match[1])
        before = before[: match.start()]
    return found


@attrs.define(eq=False)
class Block:
    """One block of a page."""

    example: Example
    language: str
    marks: list[str]

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.example.line

    @property
    def encrypts(self) -> bool:
        """Whether it is marked as one that encrypts."""
        return "fhe" in self.marks

    @property
    def has_numbers(self) -> bool:
        """Whether numbers are compared."""
        return "numbers vary" not in self.marks

    @property
    def is_run(self) -> bool:
        """Whether there is anything to run or compare."""
        if self.language == "text":
            return "output" in self.marks
        return not any(mark.startswith("not run:") for mark in self.marks)

    @property
    def status(self) -> int:
        """What the last command exits with."""
        stated = [int(mark.split(":")[1]) for mark in self.marks if mark.startswith("exit status:")]
        return stated[0] if stated else 0


class Page:
    """A page, and how far it was run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        parsers = [PythonCodeBlockParser(), *(CodeBlockParser(x, _nothing) for x in _OTHERS)]
        self.document = Document.parse(str(path), *parsers)
        self.module = types.ModuleType(re.sub(r"\W", "_", self.name))
        self.document.namespace = self.module.__dict__
        self.blocks = [
            block for example in self.document.examples() if (block := self._block(example)).is_run
        ]
        self.done: set[int] = set()
        self.printed = self.all_printed = ""
        self.stopped = ""
        self._folder: Path | None = None

    def _block(self, example: Example) -> Block:
        lexemes = example.region.lexemes
        language = lexemes.get("arguments", "python") if lexemes else "python"
        return Block(example, language, comments(self.document.text[: example.region.start]))

    def folder(self, factory: pytest.TempPathFactory) -> Path:
        """Where it is run."""
        if self._folder is None:
            self._folder = factory.mktemp(self.module.__name__)
            shutil.copytree(ROOT / "docs" / "examples", self._folder / "docs" / "examples")
        return self._folder

    def run(self, place: int) -> None:
        """Run a block, after those before it that were not run yet."""
        sys.modules[self.module.__name__] = self.module
        if self.stopped:
            pytest.skip(self.stopped)
        wanted = self.blocks[place]
        for number, block in enumerate(self.blocks[: place + 1]):
            if number not in self.done and (wanted.encrypts or not block.encrypts):
                self.done.add(number)
                self._run(block)

    def _run(self, block: Block) -> None:
        self.stopped = f"the block in line {block.line} failed"
        try:
            if block.language == "console":
                run_console(block.example.parsed, block.status, numbers=block.has_numbers)
            elif block.language == "text":
                compare(block.example.parsed, self.printed, numbers=block.has_numbers)
            else:
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    block.example.evaluate()
                self.printed = output.getvalue()
                self.all_printed += self.printed
                sys.stdout.write(self.printed)
        except (ModuleNotFoundError, MissingLibraryError, BackendUnavailableError) as error:
            self.stopped = missing(error)
            pytest.skip(self.stopped)
        self.stopped = ""


_OTHERS = ("console", "text")


def _nothing(example: Example) -> None:
    """`Page` runs these itself."""


def missing(error: Exception) -> str:
    """What is not installed; raises the error again if nothing optional is the matter."""
    if isinstance(error, BackendUnavailableError):
        return "no FHE compiler is installed"
    name = error.library if isinstance(error, MissingLibraryError) else str(error.name)
    if name.partition(".")[0] not in OPTIONAL or importlib.util.find_spec(name.partition(".")[0]):
        raise error
    return f"{name} is not installed"


# --- commands -----------------------------------------------------------------------------------


def commands(source: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it prints, as far as that is shown."""
    found: list[tuple[str, str]] = []
    for line in source.splitlines():
        command, output = found[-1] if found else ("", "")
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif not found:
            raise ValueError(f"the block does not begin with a command: {line!r}")
        elif command.endswith("\\") and not output:
            found[-1] = (command[:-1] + line.removeprefix("> ").lstrip(), "")
        else:
            found[-1] = (command, f"{output}{line}\n")
    return found


def run_console(source: str, status: int = 0, *, numbers: bool = True) -> None:
    """Run the commands of a block, and compare what they print."""
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
        **{"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"},
    }
    found = commands(source)
    for number, (command, output) in enumerate(found, 1):
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            check=False,
        )
        if re.search(r"No module named|is not installed", done.stdout) and done.returncode:
            library = re.search(r"(?:named ')?([\w.]+)(?:'| is not installed)", done.stdout)
            if library and library[1].partition(".")[0] in OPTIONAL:
                raise MissingLibraryError(library[1], "")
        if "an FHE compiler is not available (none is installed)" in done.stdout:
            raise BackendUnavailableError("", (), "")
        expected = status if number == len(found) else 0
        assert done.returncode == expected, f"$ {command}\n{done.stdout}"
        if output.strip():
            compare(output, done.stdout, numbers=numbers)


#: What a compiler writes of its own accord.
_CHATTER = re.compile(r"KeySetCache: ")
_NUMBER = re.compile(r"(?<![\w.])\d[\d.,]*(?:e[+-]?\d+)?(?: (?:[mµ]?s|[kMG]?B|bytes))?(?!\w)")


def compare(wanted: str, got: str, *, numbers: bool = True) -> None:
    """Compare what is shown with what was printed.

    Spaces and empty lines do not count. `...` or `…` stands for anything in a line, and for any
    lines if it is alone in one.
    """
    if not numbers:
        wanted, got = (_NUMBER.sub("0", " ".join(re.split(" +", t))) for t in (wanted, got))
    parts = []
    for line in lines(wanted):
        if line in ("...", "…"):
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            text = re.escape(line).replace(re.escape("..."), "…")
            parts.append(re.sub(r"(?:\\ )?…(?:\\ )?", r"[^\\n]*?", text) + r"\n")
    printed = "".join(f"{line}\n" for line in lines(got) if not _CHATTER.match(line))
    if not re.fullmatch("".join(parts), printed):
        pytest.fail(f"shown:\n{wanted}\nprinted:\n{got}", pytrace=False)


def lines(text: str) -> list[str]:
    """Lines that are not empty, with single spaces in them."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
