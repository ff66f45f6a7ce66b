"""The command in a process of its own: what is imported, terminals, signals."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from importlib import metadata

import numpy as np
import onnx
import pytest

from tests.cli.conftest import command, environment
from tests.networks import Net

HEAVY = ("torch", "concrete", "sklearn", "skl2onnx", "onnxruntime", "pandas")


def test_the_entry_point_is_declared():
    (point,) = metadata.entry_points(group="console_scripts", name="cml")
    assert point.value == "cml_core.cli:main"


def test_version(process):
    assert process("--version").out == f"cml {metadata.version('cml')}\n"


def test_the_module_is_the_command():
    def run(*arguments):
        command = [sys.executable, "-m", "cml_core", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--version").stdout == f"cml {metadata.version('cml')}\n"
    failed = run("fly")
    assert failed.returncode == 2
    assert "Usage: cml [OPTIONS]" in failed.stderr


def test_help_names_every_command(process):
    text = process("--help").out
    commands = ("ops", "plugins", "check", "run", "compile", "predict", "inspect", "export", "view")
    for name in (*commands, "--debug"):
        assert name in text


def test_a_usage_error_has_status_2(process):
    assert "No such command" in process("fly", status=2).err
    process("run", status=2)


def test_errors_have_status_1(process, tmp_path):
    result = process("check", tmp_path / "nowhere.onnx", status=1)
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["ops", "list"], ["ops", "list", "--json"], ["--help"]])
def test_what_is_quick_imports_nothing_heavy(arguments):
    script = f"""
import atexit, json, sys
loaded = lambda: [name for name in {HEAVY!r} if name in sys.modules]
atexit.register(lambda: sys.stderr.write(json.dumps(loaded())))
sys.argv = ["cml", *{arguments!r}]
from cml_core.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stderr.splitlines()[-1]) == []


def test_names_that_the_encoding_lacks_are_escaped(process, tmp_path):
    net = Net(["batch", 3])
    model = net.model(net.add("Frobnicate", "x"))
    model.graph.node[0].name = "café"
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    result = process("check", path, status=1, PYTHONIOENCODING="ascii")
    assert "'caf\\xe9'" in result.out


def test_a_reader_that_leaves_early_is_no_error():
    running = subprocess.Popen(
        command("ops", "list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running.stdout.close()
    error = running.stderr.read()
    running.stderr.close()
    running.wait(timeout=60)
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


def test_an_interrupt(plugin_folder):
    folder = plugin_folder(slow_plugin="import sys, time; sys.stderr.write('here\\n')\n"
                           "sys.stderr.flush(); time.sleep(60)")  # fmt: skip
    running = subprocess.Popen(
        command("ops", "list"),
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs tests in the background may have told its children to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with running:
        assert running.stderr.readline() == "here\n"
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert (out, error) == ("", "interrupted\n")


def test_progress_is_for_terminals_and_never_on_stdout(net_path, calibration_path, tmp_path):
    pty = pytest.importorskip("pty")
    output = tmp_path / "net.cml"
    files = [net_path, "--calibration", calibration_path, "--output", output]
    arguments = command("compile", *files, "--no-circuit")

    piped = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert piped.stderr == ""

    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=theirs, text=True, env=env
    ) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # What Linux says when the other end is closed.
                break
            if not read:
                break
            seen += read
        out = running.stdout.read()
    os.close(ours)
    assert b"reading the model" in seen
    assert out.splitlines()[:1] == piped.stdout.splitlines()[:1] == [f"wrote {output}"]
    assert "\x1b" not in out


@pytest.fixture
def full(tmp_path):
    """A device that is always full."""
    path = tmp_path / "full"
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        os.close(os.open(path, os.O_WRONLY))
    except (OSError, AttributeError):
        pytest.skip("only a superuser makes devices")
    return path


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["ops", "list"]])
def test_a_full_stdout_is_one_sentence(full, arguments, unbuffered):
    with full.open("w") as stdout:
        done = subprocess.run(
            command(*arguments),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(PYTHONUNBUFFERED=unbuffered),
        )
    told = "error: stdout: cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_with_stdout_closed_the_work_is_done(net_path, input_path, tmp_path):
    output = tmp_path / "y.npz"
    arguments = command("run", net_path, "--input", input_path, "--output", output)
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert output.exists()


@pytest.mark.parametrize(("path", "status"), [("good", 0), ("bad", 1)])
def test_a_reader_that_leaves_early_changes_no_status(net_path, tmp_path, path, status):
    model = net_path if path == "good" else tmp_path / "nowhere.onnx"
    running = subprocess.Popen(
        command("check", model), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running.stdout.close()
    running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=60) == status


def test_a_plugin_that_exits_while_it_runs_is_no_success(plugin_folder, process, model_with):
    plugin = """
import sys
from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

@hookimpl
def cml_op():
    return OpPlugin(OpSchema("Leave", (1,), domain="test"), lambda x: sys.exit(0))
"""
    folder = plugin_folder(leaving=plugin)
    model = model_with("Leave", domain="test", bare=True)
    inputs, output = model.parent / "x.npz", model.parent / "y.npz"
    np.savez(inputs, x=np.float32([[1, 2, 3]]))
    files = ("run", model, "--input", inputs, "--output", output)
    assert "SystemExit: 0" in process(*files, status=1, folder=folder).err
    assert not output.exists()
