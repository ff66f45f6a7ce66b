import contextlib
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.cli.conftest import command, environment

netron = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("netron"), reason="netron is not installed"
)


@contextlib.contextmanager
def served(*arguments):
    """The command in a process of its own, and the address that it gave; interrupted at the end."""
    process = subprocess.Popen(
        command("view", *arguments, "--no-browser"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://localhost:\d+", line)
        assert found, (line, process.stderr.read())
        yield process, line, found[0]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def page(address):
    with urllib.request.urlopen(address, timeout=10) as response:
        return response.read()


@netron
def test_the_page_and_the_model_are_served_until_it_is_interrupted(net_path):
    with served(net_path) as (_, line, address):
        assert line.strip() == f"{net_path} is at {address} until Ctrl-C"
        assert b"Netron" in page(address)
        assert page(f"{address}/data/{net_path.name}") == net_path.read_bytes()


@netron
def test_a_quantized_model_is_served_as_its_integers(cml_path, tmp_path, monkeypatch):
    import onnx

    import cml_core as cml

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(cml_path) as (_, _, address):
        content = page(f"{address}/data/{cml_path.stem}.onnx")
        assert onnx.load_from_string(content) == cml.QuantizedModule.load(cml_path).to_onnx()
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


@netron
def test_the_port_that_was_asked_for(net_path, cli):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = cli("view", net_path, "--port", port, "--no-browser", status=1)
        assert f"port={port} is not possible: expected a port that is free" in result.err
    with served(net_path, "--port", port) as (_, _, address):
        assert address == f"http://localhost:{port}"


@netron
def test_files_that_are_no_models(cli, tmp_path, cml_path):
    path = tmp_path / "notes.onnx"
    result = cli("view", path, "--no-browser", status=1)
    assert f"{path}" in result.err
    assert "No such file" in result.err
    path.write_text("something else")
    assert "not an ONNX file" in cli("view", path, "--no-browser", status=1).err
    path.write_bytes(cml_path.read_bytes()[:500])
    assert "is damaged" in cli("view", path, "--no-browser", status=1).err


def test_without_netron_the_extra_is_named(cli, net_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "netron", None)
    result = cli("view", net_path, status=1)
    assert "netron is not installed. Install it with: pip install 'cml[view]'." in result.err


def test_ports_that_are_none(cli, net_path):
    assert "--port" in cli("view", net_path, "--port", 99999, status=2).err
