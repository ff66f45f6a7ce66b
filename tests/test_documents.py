"""What the documents show works: every code block of README and docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cml_core as cml
from tests.pages import ROOT, Page, commands, comments, compare, fences, pages

PAGES = [Page(path) for path in pages()]
BY_NAME = {page.name: page for page in PAGES}
#: Languages of blocks. Only the first two are run; toml is read.
LANGUAGES = {"python", "console", "text", "toml", "json", "yaml"}
KNOWN = re.compile(r"fhe|output|numbers vary|exit status: \d+|not run: .+", re.S)
#: Parts of a whole, as pages say them.
PARTS = {"half": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "tenth": 10}
#: Warnings of other libraries that a page's code calls forth.
LOUD = {
    "docs/classical-ml.md": ["ignore:Attribute `prob._` was deprecated:FutureWarning"],
    "docs/pytorch.md": ["ignore::cml_core.quantization.client.SaturationWarning"],
    "docs/qat.md": [
        "ignore:brevitas.fx is deprecated:DeprecationWarning",
        "ignore:fast_hadamard_transform package not found:UserWarning",
    ],
    "docs/scikit-learn.md": ["ignore:Deprecated since 1.19:DeprecationWarning"],
    "docs/trees.md": ["ignore::UserWarning:skl2onnx"],
    "docs/tutorials/scikit-learn.md": ["ignore:Deprecated since 1.19:DeprecationWarning"],
}


def quiet(page: Page) -> list[pytest.MarkDecorator]:
    return [pytest.mark.filterwarnings(text) for text in LOUD.get(page.name, [])]


def cases():
    for page in PAGES:
        for place, block in enumerate(page.blocks):
            marks = [*quiet(page), *([pytest.mark.fhe] if block.encrypts else [])]
            yield pytest.param(page, place, id=f"{page.name}:{block.line}", marks=marks)


@pytest.mark.parametrize(("page", "place"), list(cases()))
def test_a_block_runs(page: Page, place: int, tmp_path_factory, monkeypatch, request):
    if page.blocks[place].encrypts:
        request.getfixturevalue("encrypts_quickly")
    monkeypatch.chdir(page.folder(tmp_path_factory))
    page.run(place)


def costs(page: Page, words: str, fewer: cml.QuantizedModule, more: cml.QuantizedModule):
    """A page says what part of another's cost something has."""
    (part,) = re.findall(words, page.document.text)
    share = fewer.report().complexity / more.report().complexity
    assert share == pytest.approx(1 / PARTS[part], rel=0.15), f"a {part} is {share:.3f}"


def of_readme(page: Page, folder: Path):
    quantized, digits = page.module.quantized, page.module.data["test"]
    assert quantized(digits[:2]).shape == (2, 10)
    assert re.search(r"^\d+ \d+$", page.all_printed, re.M), "bootstraps and bits"
    calibration = page.module.data["calibration"]
    fast = cml.quantize(page.module.module, calibration, cml.QuantConfig.fast())
    costs(page, r"costs a (\w+) of that", fast, quantized)


def of_quantization(page: Page, folder: Path):
    assert page.all_printed.count("lookups") == 2
    costs(page, r"a (\w+) of the default's", page.module.cheap, page.module.exact)


def of_running(page: Page, folder: Path):
    assert page.module.y.shape == (450, 10)
    timed = re.findall(r"^(\w+): [\d.]+ ms in \d+ nodes$", page.all_printed, re.M)
    assert set(timed) == {"Gemm", "Relu", "Softmax"}


def of_classical_models(page: Page, folder: Path):
    agreed, lookups = page.all_printed.split()
    assert float(agreed) > 0.95
    assert int(lookups) < 120


def of_scikit_learn(page: Page, folder: Path):
    assert (folder / "tmp.onnx").stat().st_size > 0
    assert "return %label, %probabilities, %scores" in page.all_printed
    assert page.all_printed.count("bootstraps") == 2


def as_often(word: str, count: int):
    def check(page: Page, folder: Path):
        assert page.all_printed.count(word) == count

    return check


def figures(line: str) -> list[float]:
    """The numbers in a line of a table, or in one that is printed."""
    return [float(number) for number in re.findall(r"(?<![\w.])\d[\d.]*(?:e[+-]?\d+)?", line)]


def of_tables(page: Page, folder: Path):
    """Tables have the figures that the blocks print, in the same order; decimals depend on BLAS."""
    tables = (line for line in page.document.text.splitlines() if line.startswith("|"))
    printed = [line for line in page.all_printed.splitlines() if line.startswith("|")]
    assert printed
    for line in printed:
        label = line.split("|")[1].strip()
        wanted = next((row for row in tables if row.split("|")[1].strip() == label), None)
        assert wanted is not None, f"no table has {line}"
        if "free" in wanted:  # Approximate rounding is not counted.
            line = line.replace("| 0 |", "| |")
        assert figures(line) == pytest.approx(figures(wanted), rel=0.02), wanted


#: By page, what its blocks print and leave behind.
LEFT = {
    "README.md": of_readme,
    "docs/bit-widths.md": of_tables,
    "docs/compilers.md": of_tables,
    "docs/running.md": of_running,
    "docs/quantization.md": of_quantization,
    "docs/trees.md": as_often("lookups", 1),
    "docs/classical-ml.md": of_classical_models,
    "docs/qat.md": as_often("lookups of", 1),
    "docs/pytorch.md": as_often("right", 4),
    "docs/scikit-learn.md": of_scikit_learn,
}


@pytest.mark.parametrize(
    "page", [pytest.param(p := BY_NAME[n], id=f"{n}:left", marks=quiet(p)) for n in LEFT]
)
def test_what_a_page_prints_and_leaves_behind(page: Page, tmp_path_factory, monkeypatch):
    folder = page.folder(tmp_path_factory)
    monkeypatch.chdir(folder)
    for place, block in enumerate(page.blocks):
        if not block.encrypts:
            page.run(place)
    LEFT[page.name](page, folder)


# --- all of them are run --------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_becomes_of_it(page: Page):
    run = {block.line for block in page.blocks}
    for line, language, source, marks in fences(page.document.text):
        where = f"{page.name}:{line}"
        if language.startswith("{"):
            continue  # a directive
        assert language in LANGUAGES, f"{where}: a block of {language or 'no language'}"
        for mark in marks:
            if mark.startswith(("fhe", "output", "not run", "exit", "numbers")):
                assert KNOWN.fullmatch(mark), f"{where}: {mark}"
        if language in ("python", "console"):
            stated = any(mark.startswith("not run:") for mark in marks)
            assert (line in run) != stated, f"{where}: it is not run, and does not say why"
        if language == "console":
            assert commands(source), where
        if language == "toml":
            tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no toml")
            tomllib.loads(source)


def test_pages_leave_the_repository_alone():
    assert not [*(ROOT / "docs").glob("*.onnx"), *(ROOT / "docs").glob("*.npz")]


# --- the runner itself ----------------------------------------------------------------------------


def test_commands_with_what_they_print():
    source = "$ one\nfirst\n\nsecond\n$ two \\\n>   --more\n$ three\n"
    assert commands(source) == [("one", "first\n\nsecond\n"), ("two --more", ""), ("three", "")]
    with pytest.raises(ValueError, match="does not begin with a command"):
        commands("output\n")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a  b\n\nc\n", "a b\nc\n"),
        ("time ... s\n", "time 1.5 s\n"),
        ("first\n...\nlast\n", "first\nx\ny\nlast\n"),
        ("first\n…\n", "first\n"),
        ("(...)\n", "(1, 2)\n"),
    ],
)
def test_what_is_shown_may_leave_something_out(shown, printed):
    compare(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"), [("a\n", "b\n"), ("a\n", "a\nb\n"), ("a ...\n", "b\n")]
)
def test_what_is_shown_wrongly_is_found(shown, printed):
    with pytest.raises(pytest.fail.Exception, match="shown"):
        compare(shown, printed)


def test_numbers_may_vary():
    compare("Gemm 3 3.34 ms 90 %\n", "Gemm  3  412 µs  88 %\n", numbers=False)
    with pytest.raises(pytest.fail.Exception):
        compare("Gemm 3\n", "Relu 3\n", numbers=False)


def test_comments_before_a_block():
    assert comments("text\n<!-- a -->\n\n<!-- fhe -->\n") == ["fhe", "a"]
    assert comments("<!-- a -->\ntext\n") == []
