import re

import pytest

import cml_core as cml
from cml_core.cli import app, failures
from tests.cli.conftest import runner


@pytest.fixture
def failing(cli, monkeypatch, net_path, input_path, tmp_path):
    """Run a command that fails with a given exception."""

    def run(error, *options, status=1):
        def fail(*arguments, **keywords):
            raise error

        monkeypatch.setattr(cml.NumpyModule, "from_onnx", fail)
        files = ["run", net_path, "--input", input_path, "--output", tmp_path / "y.npz"]
        return cli(*options, *files, status=status).err

    return run


class OddError(cml.CmlError):
    def message(self):
        return "[bold]not[/bold] \x1b[2Jmarkup :smile: [link=x]\nsecond line"


def test_nothing_in_a_message_is_interpreted(failing):
    error = failing(OddError())
    assert error == "error: [bold]not[/bold] \\x1b[2Jmarkup :smile: [link=x]\nsecond line\n"


def test_what_nobody_expected_is_a_paragraph_with_a_hint(failing):
    error = failing(ZeroDivisionError("what [red]now"))
    assert error.startswith("error: something failed that cml did not expect: ")
    assert "ZeroDivisionError: what [red]now" in error
    assert "--debug" in error


def test_an_exception_without_text(failing):
    assert "did not expect: KeyError\n" in failing(KeyError())


def test_what_ends_the_program_is_a_failure(failing):
    assert "did not expect: SystemExit: 0\n" in failing(SystemExit(0))


def test_an_interrupt_is_one_line(failing):
    assert failing(KeyboardInterrupt(), status=130) == "interrupted\n"


@pytest.mark.parametrize("error", [OddError(), RuntimeError("so be it")])
def test_debug_shows_the_traceback(monkeypatch, net_path, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("cml_core.graph.load.load_graph", fail)
    done = runner().invoke(app, ["--debug", "check", str(net_path)])
    assert done.exit_code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "in fail" in done.stderr
    assert "error: " in done.stderr.splitlines()[-2] + done.stderr.splitlines()[-1]
    after = runner().invoke(app, ["check", str(net_path)])
    assert "Traceback" not in after.stderr, "the option is for one run"


def test_a_long_message_is_not_wrapped_where_nobody_watches(failing):
    error = failing(ValueError("word " * 200))
    assert len(error.splitlines()) == 2


def test_lines_wrap_to_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    failures.say_error("word " * 30)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err).splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 40 for line in lines)
