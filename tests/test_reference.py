"""The reference has every public name and every command, and pages link to what there is."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import cml_core
from tests.pages import ROOT, pages

DOCS = ROOT / "docs"
DIRECTIVE = re.compile(r"^\.\. (?:auto\w+|py:\w+):: ([\w.]+)", re.M)
MODULE = re.compile(r"^\.\. currentmodule:: ([\w.]+)", re.M)
#: Where a link may lead outside the documentation. Keep it short: nothing checks them.
OUTSIDE = (
    "https://github.com/",
    "https://huggingface.co/docs/",
    "https://netron.app",
    "https://onnx.ai",
    "https://onnxruntime.ai",
    "https://docs.zama.",
)


def load():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "generate_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load()


def documented() -> set[str]:
    """Every name that a directive on the pages of the reference is about, with its module."""
    found = set()
    for path in (DOCS / "api").glob("*.md"):
        module = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := MODULE.match(line):
                module = f"{match[1]}."
            elif match := DIRECTIVE.match(line):
                name = match[1]
                found.add(name if name.startswith("cml_") else module + name)
    return found


@pytest.mark.parametrize(
    ("module", "where"),
    [
        ("cml_core", "cml_core"),
        ("cml_core.plugin_api", "cml_core.plugin_api"),
        ("cml_core.testing", "cml_core.testing"),
        ("cml_core.errors", "cml_core.errors"),
        ("cml_frontends", "cml_frontends"),
    ],
)
def test_every_public_name_is_in_the_reference(module, where):
    names = documented()
    public = importlib.import_module(module)
    exported = getattr(public, "__all__", None) or dir(public)
    # `CmlError` is documented with the errors, whose home it is.
    missing = {n for n in exported if f"{where}.{n}" not in names and n not in ("CmlError",)}
    assert not missing
    assert "cml_core.errors.CmlError" in names
    assert set(cml_core.__all__) <= set(dir(cml_core))


def test_every_name_of_the_scikit_learn_front_end_is_in_the_reference():
    from cml_frontends import sklearn

    text = (DOCS / "api" / "sklearn.md").read_text(encoding="utf-8")
    names = documented()
    for name in dir(sklearn):
        assert f"cml_frontends.sklearn.{name}" in names or f"| `{name}` |" in text, name


def test_names_of_the_skorch_front_end_are_in_the_reference():
    names = documented()
    source = (ROOT / "cml_frontends" / "skorch.py").read_text(encoding="utf-8")
    (exported,) = re.findall(r"^__all__ = \[(.*?)\]", source, re.M | re.S)
    assert {f"cml_frontends.skorch.{name}" for name in re.findall(r'"(\w+)"', exported)} <= names


@pytest.mark.parametrize("module", ["cml_core", "cml_core.plugin_api", "cml_core.testing"])
def test_every_public_name_says_what_it_is(module):
    public = importlib.import_module(module)
    for name in public.__all__:
        value = getattr(public, name)
        if callable(value) and name != "hookimpl":
            assert (value.__doc__ or "").strip(), name
            assert not (value.__doc__ or "").startswith("Method generated"), name


# --- commands -----------------------------------------------------------------------------------


def test_the_reference_of_commands_and_estimators_is_fresh():
    assert not generator.stale(), "run: python docs/generate_reference.py"


def test_every_command_has_an_example():
    import typer.main

    root = typer.main.get_command(generator.app)
    names = {name for name, _ in generator.walk(root)}
    assert names == generator.EXAMPLES.keys()
    for name, example in generator.EXAMPLES.items():
        assert f"$ cml {name}" in example


def test_checking_says_what_is_stale_and_writing_mends_it(tmp_path, monkeypatch, capsys):
    page = tmp_path / "commands.md"
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    monkeypatch.setattr(generator, "pages", lambda: {page: "new\n"})

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["generate_reference.py", *arguments])
        return generator.main(), capsys.readouterr().out

    status, out = run("--check")
    assert status == 1
    assert out.startswith("stale: commands.md\nrun: ")
    assert run() == (0, "wrote: commands.md\n")
    assert run("--check") == (0, "")


# --- links --------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as MyST and the repository's web page make them."""
    found: set[str] = set()
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.M | re.S)
    for heading in re.findall(r"^#{1,4} (.*)$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def links(path: Path) -> list[str]:
    """Where the links and images of a page lead."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.M | re.S)
    text = re.sub(r"(`+)(?!`).*?\1", "", text)
    return re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text)


LINKED = [*pages(), DOCS / "decisions.md", DOCS / "operators" / "index.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            assert link.startswith(OUTSIDE), link
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), link
