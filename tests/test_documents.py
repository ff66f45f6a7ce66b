"""What the documents show works."""

import re
import types
from pathlib import Path

import pytest

from cml_core.fhe.backend import FheOptions
from cml_core.testing import check_op

ROOT = Path(__file__).parents[1]


def blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.S)


def test_the_operator_of_the_first_page_for_authors_passes_the_kit():
    page = types.ModuleType("cube")
    exec(blocks("docs/add-an-operator.md")[0], page.__dict__)
    results = check_op(page.cml_op(), legs=["float", "calibration", "integers", "saving"])
    assert {result.status for result in results} == {"passed"}


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
def test_it_also_compiles(key_cache):
    page = types.ModuleType("cube")
    exec(blocks("docs/add-an-operator.md")[0], page.__dict__)
    check_op(page.cml_op(), legs=["simulation"], options=FheOptions(key_cache=key_cache))


def test_the_readme_runs_until_it_needs_a_compiler(monkeypatch):
    code, *_ = blocks("README.md")
    clear, found, _ = code.partition("circuit =")
    assert found
    monkeypatch.chdir(ROOT)
    scope: dict[str, object] = {}
    exec(clear, scope)
    assert scope["y"].shape == (2, 10)


def test_the_page_on_quantization_runs(monkeypatch, capsys):
    (code,) = blocks("docs/quantization.md")
    monkeypatch.chdir(ROOT)
    exec(code, {})
    assert capsys.readouterr().out.count("lookups") == 2


@pytest.mark.filterwarnings("ignore::UserWarning:skl2onnx")
def test_the_page_on_trees_runs(capsys):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    (code,) = blocks("docs/trees.md")
    exec(code, {})
    assert "lookups" in capsys.readouterr().out
