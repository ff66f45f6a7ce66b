"""The tutorial on scikit-learn runs as it stands."""

import pytest

from tests.test_documents import blocks

for library in ("sklearn", "skl2onnx", "xgboost", "onnxmltools", "hummingbird.ml"):
    pytest.importorskip(library, reason=f"{library} is not installed")


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.filterwarnings("ignore:Deprecated since 1.19:DeprecationWarning")
def test_the_tutorial_on_scikit_learn_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "tutorial"}
    for code in blocks("docs/scikit-learn.md"):
        exec(code, scope)
    assert (tmp_path / "tmp.onnx").stat().st_size > 0
    printed = capsys.readouterr().out
    assert "return %label, %probabilities, %scores" in printed
    assert printed.count("bootstraps") == 2
