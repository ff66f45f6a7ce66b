"""The tutorial on PyTorch and skorch runs as it stands."""

import pytest

from tests.test_documents import blocks

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("skorch", reason="skorch is not installed")


@pytest.mark.fhe
@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.filterwarnings("ignore::cml_core.quantization.client.SaturationWarning")
def test_the_tutorial_on_pytorch_runs(capsys):
    scope: dict[str, object] = {"__name__": "tutorial"}
    for code in blocks("docs/pytorch.md"):
        exec(code, scope)
    assert capsys.readouterr().out.count("right") == 4
